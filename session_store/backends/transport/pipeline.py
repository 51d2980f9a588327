"""Group commit: all calls of one moment go to a primary in one round trip.

Calls that are made in the same tick of the event loop, or while a batch is on its way, form the
next batch. Each caller gets its own reply or error.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from session_store.backends.scripts import Script
from session_store.errors import NotReplicated
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from session_store.backends.transport.node import Node

MAX_BATCH: Final = 256
"""Calls per round trip: a few milliseconds of Redis's time."""

Argument = str | bytes | int

# Typed too narrowly in hiredis: as a tuple of one.
_pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


@dataclass(slots=True, eq=False)
class Call:
    """A command on its way, and who waits for its reply."""

    command: tuple[Argument, ...]
    """For a script, what follows its digest or text."""
    reply: asyncio.Future[Any]
    script: Script | None = None
    durable: bool = False
    """Whether it counts only once the replicas have it."""
    repeatable: bool = True
    """Whether it may be sent again when its fate is unknown."""
    resent: bool = False

    def packed(self, *, with_text: bool = False) -> bytes:
        """Return the bytes to send."""
        if self.script is None:
            return _pack(self.command)
        if with_text:
            return _pack(("EVAL", self.script.text, *self.command))
        return _pack(("EVALSHA", self.script.sha, *self.command))

    def succeed(self, value: Any) -> None:
        """Hand over the reply, if somebody still waits for it."""
        if not self.reply.done():
            self.reply.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Hand over an error, if somebody still waits."""
        if not self.reply.done():
            self.reply.set_exception(error)


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must have a durable call, and how long they may take."""

    replicas: int
    timeout_ms: int


@dataclass(slots=True, eq=False)
class _Wire:
    """A connection of a lane."""

    connection: AbstractConnection
    used: bool = field(default=False)
    """Whether it has ever answered: then a loss may be an idle connection that was closed."""


class Lane:
    """The way to one primary: a queue, and a few connections that share it."""

    def __init__(
        self,
        node: Node,
        *,
        connections: int,
        timeout_s: float,
        replication: Replication | None,
    ) -> None:
        self.node = node
        self._most = connections
        self._timeout_s = timeout_s
        self._replication = replication
        self._queue: list[Call] = []
        self._idle: list[_Wire] = []
        self._busy: set[_Wire] = set()
        self._senders: set[asyncio.Task[None]] = set()
        self._about_to_send = False

    def submit(self, call: Call) -> None:
        """Send a call with all others of this tick."""
        self._queue.append(call)
        if not self._about_to_send and len(self._senders) < self._most:
            self._about_to_send = True
            sender = asyncio.get_running_loop().create_task(self._send(), name="redis-lane")
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def aclose(self) -> None:
        """Close all connections; who still waits gets an error."""
        await stop(*self._senders)
        for wire in [*self._idle, *self._busy]:
            await wire.connection.disconnect(nowait=True)
        self._idle.clear()
        for call in self._queue:
            call.fail(RedisConnectionError("the store was closed"))
        self._queue.clear()

    async def _send(self) -> None:
        """Send what waits, until nothing does."""
        self._about_to_send = False
        while self._queue:
            batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
            again = await self._exchange(batch)
            if again:
                await self._exchange(again, with_texts=True)

    async def _exchange(self, batch: Sequence[Call], *, with_texts: bool = False) -> list[Call]:
        """Make one round trip; return the calls whose scripts Redis did not know."""
        wire: _Wire | None = None
        try:
            wire = self._idle.pop() if self._idle else _Wire(self.node.make_connection())
            self._busy.add(wire)
            async with asyncio.timeout(self._timeout_s):
                unknown = await self._round_trip(wire, batch, with_texts=with_texts)
        except BaseException as error:
            was_used = wire is not None and wire.used
            if wire is not None:
                await wire.connection.disconnect(nowait=True)
            if was_used and isinstance(error, RedisConnectionError | OSError):
                # Perhaps closed since its last use (a restart, an idle time-out), like all others.
                await self._drop_idle()
            self._settle(batch, error, again=was_used and not isinstance(error, TimeoutError))
            if not isinstance(error, RedisError | OSError):
                raise
            return []
        else:
            wire.used = True
            self._idle.append(wire)
            return unknown
        finally:
            if wire is not None:
                self._busy.discard(wire)

    def _settle(self, batch: Sequence[Call], error: BaseException, *, again: bool) -> None:
        """Send what may be repeated once more; tell the others."""
        if not isinstance(error, RedisError | OSError):
            # Cancelled, or a mistake of ours, which the task reports: nobody may wait for ever.
            error, again = RedisConnectionError("the store was closed"), False
        for call in batch:
            if call.reply.done():
                continue
            if again and call.repeatable and not call.resent:
                call.resent = True
                self._queue.append(call)
            else:
                call.fail(error)

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for wire in idle:
            await wire.connection.disconnect(nowait=True)

    async def _round_trip(
        self, wire: _Wire, batch: Sequence[Call], *, with_texts: bool
    ) -> list[Call]:
        connection = wire.connection
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call]
        asked = self._replication if any(call.durable for call in batch) else None
        parts = _packed(batch, with_texts=with_texts)
        if asked is not None:
            # On the same connection: WAIT is about what this one has written.
            parts.append(_pack(("WAIT", asked.replicas, asked.timeout_ms)))
        await connection.send_packed_command(parts, check_health=False)
        unknown: list[Call] = []
        written: list[tuple[Call, Any]] = []
        for call in batch:
            try:
                value = await connection.read_response()
            except ResponseError as error:
                if isinstance(error, NoScriptError) and not with_texts:
                    unknown.append(call)
                else:
                    call.fail(error)
            else:
                if asked is not None and call.durable:
                    written.append((call, value))
                else:
                    call.succeed(value)
        if asked is not None:
            answered = int(await connection.read_response())
            for call, value in written:
                if answered >= asked.replicas:
                    call.succeed(value)
                else:
                    call.fail(NotReplicated(asked.replicas, answered))
        return unknown


def _packed(batch: Sequence[Call], *, with_texts: bool) -> list[bytes]:
    """Pack calls; ``with_texts`` the first call of each script brings its text."""
    given: set[str] = set()
    parts = []
    for call in batch:
        name = call.script.name if call.script else ""
        parts.append(call.packed(with_text=with_texts and name not in given))
        given.add(name)
    return parts
