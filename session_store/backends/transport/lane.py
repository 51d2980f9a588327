"""Group commit: all calls of one tick of the event loop go to a primary in one round trip.

Calls that are made while a batch is on its way form the next batch. Few large batches cost both
sides less than many small ones. A slow batch does not hold up others: they take another
connection. Each caller gets its own reply or error.
"""

from __future__ import annotations

import asyncio
import logging
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
    from session_store.backends.transport.options import Replication

logger = logging.getLogger(__name__)

BATCH_WAIT_S: Final = 0.004
"""How long calls wait for the batch before them. A batch of 64 appends takes about half as long."""


class Lane:
    """A queue of calls to one primary, and a few connections that share it.

    With ``replication`` a ``WAIT`` follows each batch. A connection then carries one at a time.
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
        self._max_connections = connections
        self._timeout_s = timeout_s
        self._replication = replication
        self._queue: list[Call] = []
        self._wires: list[Wire] = []
        self._opening: asyncio.Task[None] | None = None
        self._closing = KeptTasks(logger)
        self._flush_is_due = False
        self._flush_timer: asyncio.TimerHandle | None = None
        self._closed = False

    def submit(self, call: Call) -> None:
        """Send a call together with the others of this tick."""
        self._queue.append(call)
        if not self._flush_is_due and not self._flush_timer:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def aclose(self) -> None:
        """Close all connections; calls that still wait fail."""
        self._closed = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        await stop(self._opening)
        for wire in list(self._wires):
            await wire.aclose()
        self._fail_queue(RedisConnectionError("the store was closed"))
        await self._closing.wait()

    def _flush(self, *, now: bool = False) -> None:
        """Send the queue if a connection is free; with ``now``, on the least busy one."""
        self._flush_is_due = False
        if not self._queue:
            return
        wire = min(self._wires, key=_load, default=None)
        is_busy = wire is not None and wire.load > 0
        hurries = now or self._replication is not None
        if wire is None or (is_busy and hurries and len(self._wires) < self._max_connections):
            self._open_another()
        elif is_busy and self._replication is not None:
            return  # One WAIT at a time on a connection: `_on_idle` sends the next batch.
        elif is_busy and not now:
            if self._flush_timer is None:
                loop = asyncio.get_running_loop()
                self._flush_timer = loop.call_later(BATCH_WAIT_S, self._flush_now)
        else:
            self._send_on(wire)

    def _send_on(self, wire: Wire) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        batch, self._queue = self._queue, []
        if batch:
            wire.send(self._with_wait(batch))

    def _flush_now(self) -> None:
        self._flush_timer = None
        self._flush(now=True)

    def _on_idle(self) -> None:
        """Send the next batch, after the callers that got replies had time to call again."""
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _with_wait(self, batch: list[Call]) -> list[Call]:
        """Put a ``WAIT`` behind durable calls: it speaks for the writes of its own connection."""
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
        if self._closed:
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
                # The calls queue behind those on that connection, and get a deadline.
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
            # A restarted Redis, or a promoted replica, lacks the scripts.
            call.with_text, call.wait = True, None
            call.data = call.packed()
            self.submit(call)
        else:
            call.fail(reply)

    def _decide(self, wait: Call, answered: Any) -> None:
        """Finish durable calls: enough replicas have the write, or too few."""
        asked = self._replication.replicas if self._replication else 0
        for call in wait.covers:
            if call.wait is not wait:
                continue  # It was sent again, with a WAIT of its own.
            if isinstance(answered, Exception):
                call.fail(answered)
            elif answered >= asked:
                call.succeed(call.held)
            else:
                call.fail(NotReplicated(asked, answered))

    def _on_lost(self, wire: Wire, pending: Sequence[Call], error: Exception) -> None:
        """Send repeatable calls once more, on another connection; fail the others."""
        if wire in self._wires:
            self._wires.remove(wire)
        again = wire.has_answered and not self._closed and not isinstance(error, RedisTimeoutError)
        covered = [durable for call in pending for durable in call.covers if durable.wait is call]
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
            # Calls that waited for this connection get another one, or fail.
            self._open_another()

    def _fail_queue(self, error: Exception) -> None:
        queue, self._queue = self._queue, []
        for call in queue:
            call.fail(error)


def _wrote(reply: Any) -> bool:
    """Return whether a script wrote, now or before: a refusal needs no replica."""
    answer = reply[0] if isinstance(reply, list) else reply
    return bool(answer.startswith((b"OK", b"DUPLICATE")))


def _load(wire: Wire) -> int:
    return wire.load
