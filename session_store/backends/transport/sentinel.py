"""The primary that the sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError

from session_store.backends.transport.discovery import Shared, majority
from session_store.backends.transport.node import Access, Node
from session_store.redis_address import HostPort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis


class _View(NamedTuple):
    """What one sentinel knows."""

    epoch: int
    primary: HostPort


class Sentinels:
    """``Topology`` over a primary that may change: asked of the sentinels, checked with ``ROLE``.

    Sentinel itself decides by epoch which of two views is the newer; so does this. A primary that
    was paused, replaced, and woke still calls itself one: most sentinels know better.
    """

    def __init__(
        self, access: Access, sentinel_access: Access, hosts: Sequence[HostPort], service: str
    ) -> None:
        self._access = access
        self._timeout_s = access.timeout_s
        self._sentinels = tuple(Node(sentinel_access, host) for host in hosts)
        self._service = service
        self._primary: Node | None = None
        self._discovery = Shared(self._discover)

    async def connect(self) -> None:
        """See ``Topology.connect``."""
        if self._primary is None:
            await self.refresh()

    def node_of(self, _key: str) -> Node:
        """See ``Topology.node_of``."""
        if self._primary is None:
            raise RedisConnectionError("the primary is not known yet; connect first")
        return self._primary

    def nodes(self) -> Sequence[Node]:
        """See ``Topology.nodes``."""
        return () if self._primary is None else (self._primary,)

    async def refresh(self) -> None:
        """See ``Topology.refresh``."""
        await self._discovery.run()

    def plain_client(self) -> Redis:
        """See ``Topology.plain_client``."""
        return self.node_of("").make_client()

    async def aclose(self) -> None:
        """See ``Topology.aclose``."""
        await self._discovery.aclose()

    async def _discover(self) -> None:
        views = await majority(self._view_of(sentinel) for sentinel in self._sentinels)
        known = [view for view in views if view is not None]
        if not known:
            raise MasterNotFoundError(f"no sentinel knows the service {self._service!r}")
        newest = max(known, key=lambda view: view.epoch)
        node = self._primary
        if node is None or node.name != str(newest.primary):
            node = Node(self._access, newest.primary)
        [role] = await node.ask(("ROLE",), timeout_s=self._timeout_s)
        if isinstance(role, ResponseError):
            raise role
        if role[0] != b"master":
            raise RedisConnectionError(f"{node.name} is named as the primary, but is a replica")
        self._primary = node

    async def _view_of(self, sentinel: Node) -> _View | None:
        address, state = await sentinel.ask(
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
            ("SENTINEL", "MASTER", self._service),
            timeout_s=self._timeout_s,
        )
        if address is None:
            return None
        for reply in (address, state):
            if isinstance(reply, ResponseError):
                raise reply
        fields = dict(zip(state[::2], state[1::2], strict=True))
        host, port = address
        return _View(int(fields[b"config-epoch"]), HostPort(host.decode(), int(port)))
