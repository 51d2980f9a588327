"""The primary that the sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.sentinel import MasterNotFoundError
from typing_extensions import override

from session_store.backends.transport.node import Access, Node
from session_store.backends.transport.topology import Discovery, Topology, majority
from session_store.redis_address import HostPort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis


class _View(NamedTuple):
    """What one sentinel knows."""

    epoch: int
    primary: HostPort


class Sentinels(Topology):
    """One primary that may change: the sentinels name it, and ``ROLE`` confirms it.

    As in Sentinel itself, the epoch decides which of two views is newer. A primary that was paused
    and replaced still calls itself a primary when it wakes; most sentinels know better.
    """

    def __init__(
        self, access: Access, sentinel_access: Access, hosts: Sequence[HostPort], service: str
    ) -> None:
        self._access = access
        self._timeout_s = access.timeout_s
        self._sentinels = tuple(Node(sentinel_access, host) for host in hosts)
        self._service = service
        self._primary: Node | None = None
        self._discovery = Discovery(self._discover)

    @override
    async def connect(self) -> None:
        if self._primary is None:
            await self.refresh()

    @override
    def node_of(self, key: str) -> Node:
        if self._primary is None:
            raise RedisConnectionError("the primary is not known yet; connect first")
        return self._primary

    @override
    def nodes(self) -> Sequence[Node]:
        return () if self._primary is None else (self._primary,)

    @override
    async def refresh(self) -> None:
        await self._discovery.run()

    @override
    def plain_client(self) -> Redis:
        return self.node_of("").make_client()

    @override
    async def aclose(self) -> None:
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
