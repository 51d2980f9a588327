"""One Redis at a fixed address."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from session_store.backends.transport.node import Node


class Standalone:
    """``Topology`` where there is nothing to discover."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def connect(self) -> None:
        """Do nothing: the first call shows whether somebody is there, without a round trip more."""

    def node_of(self, _key: str) -> Node:
        """See ``Topology.node_of``."""
        return self._node

    def nodes(self) -> Sequence[Node]:
        """See ``Topology.nodes``."""
        return (self._node,)

    async def refresh(self) -> None:
        """Do nothing: it stays where it is."""

    def plain_client(self) -> Redis:
        """See ``Topology.plain_client``."""
        return self._node.make_client()

    async def aclose(self) -> None:
        """See ``Topology.aclose``."""
