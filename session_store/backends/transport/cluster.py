"""The primaries of a Redis Cluster, by hash slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from session_store.backends.transport.discovery import Shared, majority
from session_store.backends.transport.node import Access, Node
from session_store.redis_address import HostPort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

_UNKNOWN_HOSTS: Final = (None, b"", b"?")
"""How a node says that it does not know its own name: it is the one that was asked."""


class _View(NamedTuple):
    """What one node knows of the cluster."""

    is_whole: bool
    epoch: int
    ranges: Sequence[tuple[int, int, HostPort]]
    """First slot, last slot, primary."""
    everybody: frozenset[HostPort]
    """Primaries and replicas: who may be asked the next time."""


class Cluster:
    """``Topology`` over the primaries of a Cluster.

    Most nodes are asked at once, and the view of the greatest epoch is believed: a node that was
    cut off, or was paused and woke, still calls itself the primary of its slots.
    """

    def __init__(self, access: Access, hosts: Sequence[HostPort]) -> None:
        self._access = access
        self._timeout_s = access.timeout_s
        self._seeds = hosts
        self._everybody: frozenset[HostPort] = frozenset()
        self._nodes: dict[HostPort, Node] = {}
        self._by_slot: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._discovery = Shared(self._discover)

    async def connect(self) -> None:
        """See ``Topology.connect``."""
        if not self._nodes:
            await self.refresh()

    def node_of(self, key: str) -> Node:
        """See ``Topology.node_of``."""
        node = self._by_slot[key_slot(key.encode())]
        if node is None:
            raise ClusterDownError("no primary is known for a hash slot; refresh later")
        return node

    def nodes(self) -> Sequence[Node]:
        """See ``Topology.nodes``."""
        return tuple(self._nodes.values())

    async def refresh(self) -> None:
        """See ``Topology.refresh``."""
        await self._discovery.run()

    def plain_client(self) -> Redis:
        """See ``Topology.plain_client``."""
        if not self._nodes:
            raise RedisConnectionError("the nodes are not known yet; connect first")
        return next(iter(self._nodes.values())).make_client()

    async def aclose(self) -> None:
        """See ``Topology.aclose``."""
        await self._discovery.aclose()

    async def _discover(self) -> None:
        # Those in the URL too: their names may lead elsewhere by now.
        asked = {*self._seeds, *self._everybody}
        views = await majority(map(self._view_of, asked))
        view = max(views, key=lambda view: (view.is_whole, view.epoch))
        nodes: dict[HostPort, Node] = {}
        by_slot: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, where in view.ranges:
            node = nodes.get(where) or self._nodes.get(where) or Node(self._access, where)
            nodes[where] = node
            by_slot[first : last + 1] = [node] * (last + 1 - first)
        self._nodes, self._by_slot, self._everybody = nodes, by_slot, view.everybody

    async def _view_of(self, where: HostPort) -> _View:
        node = Node(self._access, where)
        replies = await node.ask(
            ("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"), timeout_s=self._timeout_s
        )
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        info, slots = replies
        facts = dict(line.split(b":", 1) for line in info.split())
        everybody = {where}
        ranges = []
        for first, last, *members in slots:
            places = [_place(member, where) for member in members]
            ranges.append((first, last, places[0]))
            everybody.update(places)
        return _View(
            facts[b"cluster_state"] == b"ok",
            int(facts[b"cluster_current_epoch"]),
            ranges,
            frozenset(everybody),
        )


def _place(member: Sequence[Any], asked: HostPort) -> HostPort:
    host, port = member[:2]
    return HostPort(asked.host if host in _UNKNOWN_HOSTS else host.decode(), port)
