"""One connection to Redis that carries many calls at once: written as they come, answered in order.

redis-py connects, speaks TLS and logs in. After that this module reads and writes the stream
itself. redis-py waits for each reply before it sends the next command, which costs one round trip
per command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from session_store.backends.transport.refusals import reply_error, without_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from session_store.backends.transport.call import Call
    from session_store.backends.transport.node import Node

MAX_TIMEOUTS: Final = 5
"""How many timeouts a reply may last while its parts keep coming."""
_MORE: Final = object()
"""What the parser returns while a reply is not complete."""


class Wire(asyncio.Protocol):
    """A connection that has logged in.

    Args:
        connection: connected by redis-py; this object takes its stream over.
        timeout_s: how long a call may take, from the write to the reply.
        on_reply: called with each call and its reply; an error is a reply too.
        on_idle: called when no call waits for a reply any more.
        on_lost: called once, with this wire, the calls without a reply, and the reason.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        timeout_s: float,
        on_reply: Callable[[Call, Any], None],
        on_idle: Callable[[], None],
        on_lost: Callable[[Wire, Sequence[Call], Exception], None],
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_reply = on_reply
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        # The stream is the only private name of redis-py that we use.
        self._transport = cast("asyncio.Transport", connection._writer.transport)  # type: ignore[union-attr]  # noqa: SLF001
        self._parser = hiredis.Reader(replyError=reply_error, notEnoughData=_MORE)
        self._pending: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._over = False
        self.has_answered = False
        """Whether a reply ever came: then the loss may only be that of an idle connection."""

    @classmethod
    async def open(
        cls,
        node: Node,
        timeout_s: float,
        on_reply: Callable[[Call, Any], None],
        on_idle: Callable[[], None],
        on_lost: Callable[[Wire, Sequence[Call], Exception], None],
    ) -> Self:
        """Connect and log in.

        Raises:
            redis.exceptions.RedisError, OSError: no connection, or the login was refused.
        """
        connection = node.make_connection()
        try:
            async with asyncio.timeout(timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            await connection.disconnect(nowait=True)
            # redis-py passes on what Redis quotes of the login.
            raise type(error)(without_values(str(error))) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = cls(connection, timeout_s, on_reply, on_idle, on_lost)
        wire._transport.set_protocol(wire)
        return wire

    @property
    def load(self) -> int:
        """How many calls wait for a reply."""
        return len(self._pending)

    def send(self, calls: Sequence[Call]) -> None:
        """Write calls. Never blocks."""
        deadline = self._loop.time() + self._timeout_s
        for call in calls:
            call.deadline = deadline
        self._pending.extend(calls)
        self._transport.write(b"".join([call.data for call in calls]))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check_time)

    async def aclose(self) -> None:
        """Close the connection; calls that still wait go to ``on_lost``."""
        self._lose(RedisConnectionError("the store was closed"))
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        """Hand the replies over, in the order of the calls."""
        self._heard_at = self._loop.time()
        pending, on_reply = self._pending, self._on_reply
        try:
            self._parser.feed(data)
            replies = list(iter(self._parser.gets, _MORE))
        except hiredis.HiredisError:
            self._lose(RedisConnectionError("the server does not speak the protocol of Redis"))
            return
        for reply in replies:
            if not pending:
                self._lose(RedisConnectionError("Redis sent a reply to no call"))
                return
            self.has_answered = True
            on_reply(pending.popleft(), reply)
        if not pending:
            self._on_idle()

    def connection_lost(self, error: Exception | None) -> None:
        """Give the calls without a reply back."""
        self._lose(error or RedisConnectionError("Redis closed the connection"))

    def _check_time(self) -> None:
        self._timer = None
        if not self._pending:
            return
        deadline = self._pending[0].deadline
        # While a large reply is coming, the timeout begins again, within bounds.
        latest = deadline + (MAX_TIMEOUTS - 1) * self._timeout_s
        deadline = min(max(deadline, self._heard_at + self._timeout_s), latest)
        if deadline <= self._loop.time():
            self._lose(RedisTimeoutError(f"Redis did not answer within {self._timeout_s:g} s"))
        else:
            self._timer = self._loop.call_at(deadline, self._check_time)

    def _lose(self, error: Exception) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        lost, self._pending = list(self._pending), deque()
        self._on_lost(self, lost, error)
