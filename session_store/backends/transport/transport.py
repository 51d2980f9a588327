"""Calls to Redis: routed to the primary of their key, repeated if it has moved, bounded in time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import RedisError

from session_store.backends.transport.breaker import Breaker
from session_store.backends.transport.call import Call
from session_store.backends.transport.cluster import Cluster
from session_store.backends.transport.lane import Lane
from session_store.backends.transport.node import Access, Node
from session_store.backends.transport.refusals import (
    ELSEWHERE,
    IN_A_MOMENT,
    error_of,
    trouble_of,
)
from session_store.backends.transport.sentinel import Sentinels
from session_store.backends.transport.topology import Standalone
from session_store.errors import (
    CircuitOpen,
    InvalidValue,
    NotReplicated,
    SessionStoreError,
    StoreUnavailable,
)
from session_store.meter import NO_METER
from session_store.redis_address import Kind
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis

    from session_store.backends.transport.call import Argument, Script
    from session_store.backends.transport.options import Replication, TransportOptions
    from session_store.backends.transport.topology import Topology

logger = logging.getLogger(__name__)

MOVED_TRIES: Final = 6
MOVED_PAUSE_S: Final = 0.05
"""Pause before the second try elsewhere, doubled each time. Six tries take 1.6 s."""
PING: Final = ("PING",)


class _Route(NamedTuple):
    """How calls get to one primary."""

    lane: Lane
    durable: Lane
    """For calls that replicas must have too; the same lane if no replica is asked."""
    breaker: Breaker

    async def aclose(self) -> None:
        """Close all connections."""
        await self.breaker.aclose()
        await self.lane.aclose()
        if self.durable is not self.lane:
            await self.durable.aclose()


class Transport:
    """The way to all primaries. It connects at the first call.

    Every call raises ``StoreUnavailable`` or ``StoreRefused`` (see ``refusals``) and nothing else.

    Raises:
        InvalidValue: as ``topology_of``.
    """

    def __init__(self, options: TransportOptions) -> None:
        self.topology = topology_of(options)
        self.meter = NO_METER
        self._where = options.address.where
        self._options = options
        self._timeout_s = options.timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._connected = False
        self._routes: dict[Node, _Route] = {}
        self._discovery = self._breaker(self._where, self._discover)
        self._closing = KeptTasks(logger)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        durable: bool = False,
    ) -> list[Any]:
        """Run a script on the primary of its first key; return the parts of its reply.

        A script may be sent twice. It answers as the first time, or with ``DUPLICATE``.
        """
        command = (len(keys), *keys, *args)
        reply: bytes | list[Any] = await self._call(
            keys[0], command, script=script, durable=durable
        )
        return reply.split() if isinstance(reply, bytes) else reply

    async def execute(self, key: str, *command: Argument, repeatable: bool = True) -> Any:
        """Run a command on the primary of ``key``."""
        return await self._call(key, command, repeatable=repeatable)

    async def execute_many(
        self, commands: Sequence[tuple[str, tuple[Argument, ...]]], *, repeatable: bool = True
    ) -> list[Any]:
        """Run commands, each on the primary of its key: one round trip per primary.

        They are not atomic. If some fail, the first error is raised, after all have ended.
        """
        if not self._connected or self._loop is not asyncio.get_running_loop():
            await self._connect()
        nodes = [self.topology.node_of(key) for key, _ in commands]
        calls = [
            self._submit(node, command, repeatable=repeatable)
            for node, (_, command) in zip(nodes, commands, strict=True)
        ]
        replies = await asyncio.gather(*(call.reply for call in calls), return_exceptions=True)
        for i, reply in enumerate(replies):
            if isinstance(reply, ELSEWHERE + IN_A_MOMENT):
                self.meter.redis_failed("moved")
                key, command = commands[i]
                replies[i] = await self._call(key, command, repeatable=repeatable)
        for node, reply in zip(nodes, replies, strict=True):
            if isinstance(reply, RedisError | OSError):
                raise self._note_failure(node, reply) from reply
            if isinstance(reply, BaseException):
                raise reply
        return replies

    async def clock_ms(self, key: str) -> int:
        """Return the clock of the primary of ``key``, in Unix milliseconds."""
        return clock_ms_in(await self.execute(key, "TIME"))

    async def plain_client(self) -> Redis:
        """Make an ordinary client to a primary; the caller closes it."""
        await self._connect()
        return self.topology.plain_client()

    async def ping(self) -> None:
        """Reach every primary."""
        await self._connect()
        nodes = self.topology.nodes()
        calls = [self._submit(node, PING).reply for node in nodes]
        replies = await asyncio.gather(*calls, return_exceptions=True)
        for node, reply in zip(nodes, replies, strict=True):
            if isinstance(reply, RedisError | OSError):
                raise self._note_failure(node, reply) from reply

    async def aclose(self) -> None:
        """Close every connection. Later calls fail."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        await self._discovery.aclose()
        routes, self._routes = self._routes, {}
        for route in routes.values():
            await route.aclose()
        await self._closing.wait()
        await self.topology.aclose()
        self._connected = False

    async def _call(
        self,
        key: str,
        command: tuple[Argument, ...],
        *,
        script: Script | None = None,
        durable: bool = False,
        repeatable: bool = True,
    ) -> Any:
        if not self._connected or self._loop is not asyncio.get_running_loop():
            await self._connect()
        pause_s = MOVED_PAUSE_S
        for tries_left in reversed(range(MOVED_TRIES)):
            try:
                node = self.topology.node_of(key)
                call = self._submit(
                    node, command, script=script, durable=durable, repeatable=repeatable
                )
                return await call.reply
            except ELSEWHERE + IN_A_MOMENT as error:
                self.meter.redis_failed("moved")
                if not tries_left:
                    raise error_of(error, self._where) from error
                if isinstance(error, ELSEWHERE):
                    await self._try_refresh()
            except (RedisError, OSError) as error:
                raise self._note_failure(node, error) from error
            except NotReplicated:
                self.meter.redis_failed("not_replicated")
                raise
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("unreachable")

    def _submit(
        self,
        node: Node,
        command: tuple[Argument, ...],
        *,
        script: Script | None = None,
        durable: bool = False,
        repeatable: bool = True,
    ) -> Call:
        if self._closed:
            raise StoreUnavailable("the store was closed; make another one")
        route = self._routes.get(node) or self._open(node)
        if route.breaker.is_open:
            raise self._circuit_open(route.breaker)
        call = Call(
            command,
            asyncio.get_running_loop().create_future(),
            script,
            durable=durable and self._options.replication is not None,
            repeatable=repeatable,
        )
        try:
            call.data = call.packed()
        except UnicodeEncodeError:
            raise InvalidValue("an id or name is not valid Unicode text") from None
        (route.durable if durable else route.lane).submit(call)
        return call

    def _note_failure(self, node: Node, error: RedisError | OSError) -> SessionStoreError:
        """Translate an error; one that means no answer opens the circuit."""
        translated = error_of(error, node.name)
        self.meter.redis_failed(trouble_of(error, translated))
        if isinstance(translated, StoreUnavailable) and node in self._routes:
            self._routes[node].breaker.trip(str(translated))
        return translated

    def _circuit_open(self, breaker: Breaker) -> CircuitOpen:
        self.meter.redis_failed("circuit_open")
        return CircuitOpen(f"not asked, since a moment ago: {breaker.reason}")

    def _breaker(self, where: str, probe: Callable[[], Awaitable[None]]) -> Breaker:
        return Breaker(where, probe, pause_s=self._options.retry_s, on_change=self._note_circuit)

    def _note_circuit(self, *, is_open: bool) -> None:
        if is_open:
            self.meter.circuit_opened()
        else:
            self.meter.circuit_closed()

    def _open(self, node: Node) -> _Route:
        async def probe() -> None:
            # If another server took over, callers do not come here any more: find it first.
            await self._try_refresh()
            if node in self._routes:
                await node.ask(PING, timeout_s=self._timeout_s)

        lane = durable = self._lane(node, None)
        if self._options.replication is not None:
            # A lane of its own: a call that needs no replica does not wait for them.
            durable = self._lane(node, self._options.replication)
        route = _Route(lane, durable, self._breaker(node.name, probe))
        self._routes[node] = route
        return route

    def _lane(self, node: Node, replication: Replication | None) -> Lane:
        return Lane(
            node,
            connections=self._options.connections,
            timeout_s=self._timeout_s,
            replication=replication,
        )

    async def _connect(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store was closed; make another one")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections belong to the loop that made them; a program may run several in turn.
            self._begin()
            self._loop = loop
        if self._connected:
            return
        if self._discovery.is_open:
            raise self._circuit_open(self._discovery)
        try:
            await self._discover()
        except (RedisError, OSError) as error:
            translated = error_of(error, self._where)
            self.meter.redis_failed(trouble_of(error, translated))
            if isinstance(translated, StoreUnavailable):
                self._discovery.trip(str(translated))
            raise translated from error

    async def _discover(self) -> None:
        async with asyncio.timeout(2 * self._timeout_s):
            await self.topology.connect()
        self._connected = True

    async def _try_refresh(self) -> None:
        try:
            await self._refresh()
        except (RedisError, OSError):
            return  # The address that was known is tried again.

    async def _refresh(self) -> None:
        async with asyncio.timeout(2 * self._timeout_s):
            await self.topology.refresh()
        present = set(self.topology.nodes())
        for node in [node for node in self._routes if node not in present]:
            self._closing.spawn(self._routes.pop(node).aclose())


def topology_of(options: TransportOptions) -> Topology:
    """Build the topology that the address describes; it does not connect yet.

    Raises:
        InvalidValue: the address is ``memory://``, or certificates cannot be used.
    """
    address = options.address
    access = Access.of(options)
    match address.kind:
        case Kind.STANDALONE:
            return Standalone(Node(access, address.hosts[0]))
        case Kind.UNIX:
            return Standalone(Node(access, address.path))
        case Kind.CLUSTER:
            return Cluster(access, address.hosts)
        case Kind.SENTINEL:
            sentinel_access = replace(
                access,
                user=options.sentinel_user,
                password=options.sentinel_password,
                database=0,
            )
            return Sentinels(access, sentinel_access, address.hosts, address.service)
        case Kind.MEMORY:
            raise InvalidValue("REJOIN_REDIS_URL is memory://, which is not a Redis")


def clock_ms_in(reply: Sequence[bytes]) -> int:
    """Read the reply of ``TIME``, in Unix milliseconds."""
    seconds, micros = reply
    return int(seconds) * 1000 + int(micros) // 1000
