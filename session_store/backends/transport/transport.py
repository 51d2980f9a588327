"""Calls to Redis: routed to the primary of their key, repeated where it has moved, bounded."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from redis.exceptions import RedisError

from session_store.backends.redis.scripts import script as script_of
from session_store.backends.transport.breaker import Breaker
from session_store.backends.transport.call import Call
from session_store.backends.transport.measured import measured
from session_store.backends.transport.pipeline import Lane, Replication
from session_store.backends.transport.refusals import (
    ELSEWHERE,
    IN_A_MOMENT,
    error_of,
    trouble_of,
)
from session_store.backends.transport.topology import topology_of
from session_store.backends.transport.traced import traced
from session_store.errors import (
    CircuitOpen,
    InvalidValue,
    NotReplicated,
    SessionStoreError,
    StoreUnavailable,
)
from session_store.meter import NO_METER
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis

    from session_store.backends.redis.scripts import Script
    from session_store.backends.transport.call import Argument
    from session_store.backends.transport.node import Node
    from session_store.backends.transport.topology import Topology
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer

logger = logging.getLogger(__name__)

MOVED_TRIES: Final = 6
MOVED_PAUSE_S: Final = 0.05
"""Before the second try elsewhere; doubled each time. Six tries take 1.6 s."""
PING: Final = ("PING",)


class _Way(NamedTuple):
    """How calls get to one primary."""

    lane: Lane
    durable: Lane
    """For what the replicas must have too; the same one where none are asked."""
    breaker: Breaker

    async def aclose(self) -> None:
        """Close all connections."""
        await self.breaker.aclose()
        await self.lane.aclose()
        if self.durable is not self.lane:
            await self.durable.aclose()


class Transport:
    """What the Redis backend calls through.

    Every call raises ``StoreUnavailable`` or ``StoreRefused`` (see ``refusals``) and nothing else.
    """

    def __init__(self, topology: Topology, settings: StoreSettings) -> None:
        self.topology = topology
        self.tracer: Tracer | None = None
        self.meter = NO_METER
        self._where = settings.redis_address.where
        self._connections = settings.redis_connections
        self._timeout_s = settings.redis_timeout_s
        self._pause_s = settings.redis_retry_s
        self._replication: Replication | None = None
        if settings.durability == "replicated":
            timeout_ms = round(settings.replica_timeout_s * 1000)
            self._replication = Replication(settings.replicas_asked, timeout_ms)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._connected = False
        self._ways: dict[Node, _Way] = {}
        self._discovery = self._breaker(self._where, self._discover)
        self._closing = KeptTasks(logger)

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Build what ``REJOIN_REDIS_URL`` names; connects at the first call."""
        return cls(topology_of(settings), settings)

    async def run(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        durable: bool = False,
    ) -> list[Any]:
        """Run a script, on the primary of its first key; return the parts of its reply.

        Scripts may be repeated: they answer as the first time, or say ``DUPLICATE``.
        """
        answer = self._call(
            keys[0], (len(keys), *keys, *args), script=script_of(name), durable=durable
        )
        if self.tracer is not None and self.tracer.is_on:
            answer = traced(self.tracer, name, keys, args, answer)
        if self.meter is not NO_METER:
            answer = measured(self.meter, name, answer)
        reply: bytes | list[Any] = await answer
        return reply.split() if isinstance(reply, bytes) else reply

    async def execute(self, key: str, *command: Argument, repeatable: bool = True) -> Any:
        """Run a command on the primary of ``key``."""
        return await self._call(key, command, repeatable=repeatable)

    async def execute_many(
        self, commands: Sequence[tuple[str, tuple[Argument, ...]]], *, repeatable: bool = True
    ) -> list[Any]:
        """Run commands, each on the primary of its key: one round trip per primary.

        They are not atomic. Where some fail, the first error is raised, after all have ended.
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
                raise self._heard(node, reply) from reply
            if isinstance(reply, BaseException):
                raise reply
        return replies

    async def plain_client(self) -> Redis:
        """Make an ordinary client to a primary, to be closed by the caller."""
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
                raise self._heard(node, reply) from reply

    async def aclose(self) -> None:
        """Close every connection. Calls fail from then on."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        await self._discovery.aclose()
        ways, self._ways = self._ways, {}
        for way in ways.values():
            await way.aclose()
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
                    await self._look_again()
            except (RedisError, OSError) as error:
                raise self._heard(node, error) from error
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
        way = self._ways.get(node) or self._open(node)
        if way.breaker.is_open:
            raise self._not_asked(way.breaker)
        call = Call(
            command,
            asyncio.get_running_loop().create_future(),
            script,
            durable=durable and self._replication is not None,
            repeatable=repeatable,
        )
        try:
            call.data = call.packed()
        except UnicodeEncodeError:
            raise InvalidValue("an id or name is not valid Unicode text") from None
        (way.durable if durable else way.lane).submit(call)
        return call

    def _heard(self, node: Node, error: RedisError | OSError) -> SessionStoreError:
        """Translate an error; one that is no answer opens the circuit."""
        translated = error_of(error, node.name)
        self.meter.redis_failed(trouble_of(error, translated))
        if isinstance(translated, StoreUnavailable) and node in self._ways:
            self._ways[node].breaker.trip(str(translated))
        return translated

    def _not_asked(self, breaker: Breaker) -> CircuitOpen:
        self.meter.redis_failed("circuit_open")
        return CircuitOpen(f"not asked, since a moment ago: {breaker.reason}")

    def _breaker(self, where: str, probe: Callable[[], Awaitable[None]]) -> Breaker:
        return Breaker(where, probe, pause_s=self._pause_s, on_change=self._note_circuit)

    def _note_circuit(self, *, is_open: bool) -> None:
        if is_open:
            self.meter.circuit_opened()
        else:
            self.meter.circuit_closed()

    def _open(self, node: Node) -> _Way:
        async def probe() -> None:
            # Where it was replaced, callers do not come here any more; look who took over.
            await self._look_again()
            if node in self._ways:
                await node.ask(PING, timeout_s=self._timeout_s)

        lane = durable = self._lane(node, None)
        if self._replication is not None:
            # Of its own: whoever wants no replicas does not wait for them.
            durable = self._lane(node, self._replication)
        way = _Way(lane, durable, self._breaker(node.name, probe))
        self._ways[node] = way
        return way

    def _lane(self, node: Node, replication: Replication | None) -> Lane:
        return Lane(
            node,
            connections=self._connections,
            timeout_s=self._timeout_s,
            replication=replication,
        )

    async def _connect(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store was closed; make another one")
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections belong to the loop that made them (two runs of asyncio.run, say).
            self._begin()
            self._loop = loop
        if self._connected:
            return
        if self._discovery.is_open:
            raise self._not_asked(self._discovery)
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

    async def _look_again(self) -> None:
        try:
            await self._refresh()
        except (RedisError, OSError):
            return  # Where it was known to be is tried again.

    async def _refresh(self) -> None:
        async with asyncio.timeout(2 * self._timeout_s):
            await self.topology.refresh()
        present = set(self.topology.nodes())
        for node in [each for each in self._ways if each not in present]:
            self._closing.spawn(self._ways.pop(node).aclose())
