"""One connection to Redis, full of calls: written as they come, answered in order.

redis-py connects, speaks TLS and logs in. From then on the stream is read and written here: a
client that waits for each reply before it sends the next command, as redis-py's does, has one
round trip per command.
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
"""How many times its time-out a reply may take while its parts keep coming."""
_MORE: Final = object()
"""What the parser answers when a reply is not complete yet."""


class Wire(asyncio.Protocol):
    """A connection that is logged in.

    Args:
        connection: connected by redis-py; its stream is taken over.
        timeout_s: how long a call may take, from its writing to its reply.
        on_reply: called with each call and its reply; errors are replies too.
        on_idle: called when every call has its reply.
        on_lost: called once, with this wire, the calls that got no reply, and why.
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
        # The one private name of redis-py's that is used: its stream.
        self._transport = cast("asyncio.Transport", connection._writer.transport)  # type: ignore[union-attr]  # noqa: SLF001
        self._parser = hiredis.Reader(replyError=reply_error, notEnoughData=_MORE)
        self._pending: deque[Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._over = False
        self.has_answered = False
        """Whether it ever did: then its loss may be that of an idle connection."""

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
            redis.exceptions.RedisError, OSError: nobody is there, or the login was refused.
        """
        connection = node.make_connection()
        try:
            async with asyncio.timeout(timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            await connection.disconnect(nowait=True)
            # redis-py logs in, and passes on what Redis quotes of that.
            raise type(error)(without_values(str(error))) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = cls(connection, timeout_s, on_reply, on_idle, on_lost)
        wire._transport.set_protocol(wire)
        return wire

    @property
    def load(self) -> int:
        """How many calls wait for their reply."""
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
        """Close it; calls that wait are handed to ``on_lost``."""
        self._lose(RedisConnectionError("the store was closed"))
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        """Hand replies over, in the order of their calls."""
        self._heard_at = self._loop.time()
        pending, on_reply = self._pending, self._on_reply
        try:
            self._parser.feed(data)
            replies = list(iter(self._parser.gets, _MORE))
        except hiredis.HiredisError:
            self._lose(RedisConnectionError("it does not speak Redis's protocol"))
            return
        for reply in replies:
            if not pending:
                self._lose(RedisConnectionError("Redis said something that nobody asked for"))
                return
            self.has_answered = True
            on_reply(pending.popleft(), reply)
        if not pending:
            self._on_idle()

    def connection_lost(self, error: Exception | None) -> None:
        """Hand back what got no reply."""
        self._lose(error or RedisConnectionError("Redis closed the connection"))

    def _check_time(self) -> None:
        self._timer = None
        if not self._pending:
            return
        deadline = self._pending[0].deadline
        # A large reply on its way is an answer, within bounds.
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
