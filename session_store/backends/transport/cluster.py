"""The primaries of a Redis Cluster, by hash slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from typing_extensions import override

from session_store.backends.transport.node import Access, Node
from session_store.backends.transport.topology import Discovery, Topology, majority
from session_store.redis_address import HostPort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

_UNKNOWN_HOSTS: Final = (None, b"", b"?")
"""What a node answers if it does not know its own name: it is the one that was asked."""


class _View(NamedTuple):
    """What one node knows of the cluster."""

    is_whole: bool
    epoch: int
    ranges: Sequence[tuple[int, int, HostPort]]
    """First slot, last slot, primary."""
    members: frozenset[HostPort]
    """Primaries and replicas: the nodes to ask the next time."""


class Cluster(Topology):
    """The primaries of a Cluster.

    All known nodes are asked at once, and the view with the greatest epoch counts. A node that was
    cut off or paused still calls itself the primary of its slots.
    """

    def __init__(self, access: Access, hosts: Sequence[HostPort]) -> None:
        self._access = access
        self._timeout_s = access.timeout_s
        self._seeds = hosts
        self._members: frozenset[HostPort] = frozenset()
        self._nodes: dict[HostPort, Node] = {}
        self._by_slot: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._discovery = Discovery(self._discover)

    @override
    async def connect(self) -> None:
        if not self._nodes:
            await self.refresh()

    @override
    def node_of(self, key: str) -> Node:
        node = self._by_slot[key_slot(key.encode())]
        if node is None:
            raise ClusterDownError("no primary is known for a hash slot; refresh later")
        return node

    @override
    def nodes(self) -> Sequence[Node]:
        return tuple(self._nodes.values())

    @override
    async def refresh(self) -> None:
        await self._discovery.run()

    @override
    def plain_client(self) -> Redis:
        if not self._nodes:
            raise RedisConnectionError("the nodes are not known yet; connect first")
        return next(iter(self._nodes.values())).make_client()

    @override
    async def aclose(self) -> None:
        await self._discovery.aclose()

    async def _discover(self) -> None:
        # The nodes in the URL too: their names may have got other addresses since.
        asked = {*self._seeds, *self._members}
        views = await majority(map(self._view_of, asked))
        view = max(views, key=lambda view: (view.is_whole, view.epoch))
        nodes: dict[HostPort, Node] = {}
        by_slot: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, where in view.ranges:
            node = nodes.get(where) or self._nodes.get(where) or Node(self._access, where)
            nodes[where] = node
            by_slot[first : last + 1] = [node] * (last + 1 - first)
        self._nodes, self._by_slot, self._members = nodes, by_slot, view.members

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
        members = {where}
        ranges = []
        for first, last, *servers in slots:
            places = [_place(server, where) for server in servers]
            ranges.append((first, last, places[0]))
            members.update(places)
        return _View(
            facts[b"cluster_state"] == b"ok",
            int(facts[b"cluster_current_epoch"]),
            ranges,
            frozenset(members),
        )


def _place(server: Sequence[Any], asked: HostPort) -> HostPort:
    host, port = server[:2]
    return HostPort(asked.host if host in _UNKNOWN_HOSTS else host.decode(), port)
