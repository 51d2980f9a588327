"""Group commit: all calls of one tick of the event loop go to a primary in one round trip.

What is called while a batch is on its way forms the next one: few large batches cost both sides
less than many small ones. A batch that takes long does not hold up others: they go out on another
connection. Each caller gets its own reply or error.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from session_store.backends.transport.call import Call
from session_store.backends.transport.wire import Wire
from session_store.errors import NotReplicated
from session_store.tasks import KeptTasks, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.transport.node import Node

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 0.004
"""How long calls wait for the batch before them. A batch of 64 appends takes about half of it."""


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must have a durable call, and how long they may take."""

    replicas: int
    timeout_ms: int


class Lane:
    """The way to one primary: a queue, and a few connections that share it.

    With ``replication`` each batch is followed by a ``WAIT``, and only one is on a connection.
    """

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
        self._wires: list[Wire] = []
        self._opening: asyncio.Task[None] | None = None
        self._closing = KeptTasks(logger)
        self._about_to_flush = False
        self._impatient: asyncio.TimerHandle | None = None
        self._over = False

    def submit(self, call: Call) -> None:
        """Send a call with all others of this tick."""
        self._queue.append(call)
        if not self._about_to_flush and not self._impatient:
            self._about_to_flush = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def aclose(self) -> None:
        """Close all connections; who still waits gets an error."""
        self._over = True
        if self._impatient is not None:
            self._impatient.cancel()
        await stop(self._opening)
        for wire in list(self._wires):
            await wire.aclose()
        self._fail_queue(RedisConnectionError("the store was closed"))
        await self._closing.wait()

    def _flush(self, *, now: bool = False) -> None:
        """Send what waits, if a connection is free, or ``now`` on the one with least to do."""
        self._about_to_flush = False
        if not self._queue:
            return
        wire = min(self._wires, key=_load, default=None)
        is_busy = wire is not None and wire.load > 0
        hurries = now or self._replication is not None
        if wire is None or (is_busy and hurries and len(self._wires) < self._most):
            self._open_another()
        elif is_busy and self._replication is not None:
            return  # One WAIT at a time on a connection: `_on_idle` goes on.
        elif is_busy and not now:
            if self._impatient is None:
                loop = asyncio.get_running_loop()
                self._impatient = loop.call_later(PATIENCE_S, self._flush_now)
        else:
            self._send_on(wire)

    def _send_on(self, wire: Wire) -> None:
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
        batch, self._queue = self._queue, []
        if batch:
            wire.send(self._with_wait(batch))

    def _flush_now(self) -> None:
        self._impatient = None
        self._flush(now=True)

    def _on_idle(self) -> None:
        """Send the next batch, once those who got their replies have called again."""
        if not self._about_to_flush:
            self._about_to_flush = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _with_wait(self, batch: list[Call]) -> list[Call]:
        """Put a ``WAIT`` behind durable calls, on the same connection: it is about its writes."""
        durable = [call for call in batch if call.durable]
        if self._replication is None or not durable:
            return batch
        command = ("WAIT", self._replication.replicas, self._replication.timeout_ms)
        reply = asyncio.get_running_loop().create_future()
        wait = Call(command, reply, repeatable=False, covers=durable)
        wait.data = wait.packed()
        for call in durable:
            call.wait = wait
        return [*batch, wait]

    def _open_another(self) -> None:
        if self._over:
            self._fail_queue(RedisConnectionError("the store was closed"))
        elif self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="redis-connect")

    async def _open(self) -> None:
        try:
            wire = await Wire.open(
                self.node, self._timeout_s, self._on_reply, self._on_idle, self._on_lost
            )
        except Exception as error:
            if self._wires:
                # Behind what it has to do already; from then on each call has a deadline.
                self._send_on(min(self._wires, key=_load))
            else:
                self._fail_queue(error)
            if not isinstance(error, RedisError | OSError):
                raise
        else:
            self._wires.append(wire)
            self._flush()

    def _on_reply(self, call: Call, reply: Any) -> None:
        if call.covers:
            self._decide(call, reply)
        elif not isinstance(reply, Exception):
            if call.durable and _wrote(reply):
                call.held = reply
            else:
                call.succeed(reply)
        elif isinstance(reply, NoScriptError) and not call.with_text:
            # A Redis that restarted, or a replica that was promoted, lacks the scripts.
            call.with_text, call.wait = True, None
            call.data = call.packed()
            self.submit(call)
        else:
            call.fail(reply)

    def _decide(self, wait: Call, answered: Any) -> None:
        """Tell durable calls whether enough replicas have what they wrote."""
        asked = self._replication.replicas if self._replication else 0
        for call in wait.covers:
            if call.wait is not wait:
                continue  # On its way again, with a WAIT of its own.
            if isinstance(answered, Exception):
                call.fail(answered)
            elif answered >= asked:
                call.succeed(call.held)
            else:
                call.fail(NotReplicated(asked, answered))

    def _on_lost(self, wire: Wire, pending: Sequence[Call], error: Exception) -> None:
        """Send what may be repeated once more, on another connection; tell the others."""
        if wire in self._wires:
            self._wires.remove(wire)
        again = wire.has_answered and not self._over and not isinstance(error, RedisTimeoutError)
        covered = [each for call in pending for each in call.covers if each.wait is call]
        for call in dict.fromkeys([*covered, *pending]):
            call.held = None
            if call.covers or call.reply.done():
                continue
            if again and call.repeatable and not call.resent:
                call.resent = True
                self.submit(call)
            else:
                call.fail(error)
        self._closing.spawn(wire.aclose())
        if self._queue and not self._wires:
            # Whoever waited for this one: on another, or told that there is none.
            self._open_another()

    def _fail_queue(self, error: Exception) -> None:
        queue, self._queue = self._queue, []
        for call in queue:
            call.fail(error)


def _wrote(reply: Any) -> bool:
    """Tell whether a script has written, or had before: a refusal needs no replica."""
    answer = reply[0] if isinstance(reply, list) else reply
    return bool(answer.startswith((b"OK", b"DUPLICATE")))


def _load(wire: Wire) -> int:
    return wire.load
