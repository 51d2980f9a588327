"""Listening to the channel of events, over one connection after another.

Redis keeps no message that no connection received, so every gap is reported: ``None`` means that
the listener hears everything from here on, and may have missed events before.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from session_store.backends.transport.refusals import error_of
from session_store.errors import StoreRefused
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from session_store.backends.transport.topology import Topology

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Messages that wait for a slow reader. One more, and all of them count as missed."""
QUIET_S: Final = 2.0
"""After this time without a message, a ping checks the connection."""
ANSWER_S: Final = 2.0
"""How long the reply to that ping, or a new connection, may take."""
FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 2.0


class Mailbox:
    """Messages that were received and not read yet; bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[bytes | None] = deque()
        self._changed = asyncio.Event()

    def put(self, message: bytes | None) -> None:
        """Add a message, or the mark of a gap. Too many waiting messages become one gap."""
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            message = None
        if message is not None or not self._waiting or self._waiting[-1] is not None:
            self._waiting.append(message)
        self._changed.set()

    async def take(self, source: asyncio.Task[None]) -> bytes | None:
        """Return the oldest message; wait for one. Raise the error of a ``source`` that failed."""
        while not self._waiting:
            if source.done():
                source.result()
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def look(self, _source: asyncio.Task[None]) -> None:
        """Wake a waiting reader, so that it looks at the source."""
        self._changed.set()


async def listen(
    topology: Topology, channel: str, *, limit: int = MAX_WAITING
) -> AsyncGenerator[bytes | None, None]:
    """Yield messages and gaps without end, as ``SideChannel.listen`` describes.

    Args:
        topology: where Redis is.
        channel: its name.
        limit: how many messages wait for a slow reader.

    Raises:
        StoreRefused: Redis does not let this user listen. Once it has listened, it reconnects
            without end.
    """
    mailbox = Mailbox(limit)
    source = asyncio.create_task(_Listener(topology, channel, mailbox).listen(), name="events")
    source.add_done_callback(mailbox.look)
    try:
        while True:
            yield await mailbox.take(source)
    finally:
        await stop(source)


class _Listener:
    """Fills a mailbox without end."""

    def __init__(self, topology: Topology, channel: str, mailbox: Mailbox) -> None:
        self._topology = topology
        self._channel = channel
        self._mailbox = mailbox
        self._ever_heard = False
        self._hears = False

    async def listen(self) -> None:
        retry_s = FIRST_RETRY_S
        find = self._topology.connect
        while True:
            try:
                await find()
                await self._hear()
            except (RedisError, OSError, TimeoutError) as error:
                reason = error_of(error, self._where())
                if isinstance(reason, StoreRefused) and not self._ever_heard:
                    raise reason from error
                if self._hears:
                    retry_s = FIRST_RETRY_S
                    logger.warning("events are missed for now", extra={"reason": str(reason)})
                self._hears = False
            # After a failover Redis is somewhere else.
            find = self._topology.refresh
            await asyncio.sleep(retry_s * random.uniform(0.5, 1))  # noqa: S311 (no secret)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    def _where(self) -> str:
        return ",".join(node.name for node in self._topology.nodes()) or "its address"

    async def _hear(self) -> None:
        """Listen on one connection until it is lost, which raises, or until Redis has moved.

        redis-py's ``PubSub`` is not used: it sends within ``asyncio.wait_for``, which may swallow a
        cancellation before Python 3.12.
        """
        here = list(self._topology.nodes())
        # In a Cluster any node will do: each of them passes every message on.
        connection: Any = random.choice(here).make_connection()  # noqa: S311 (no secret)
        try:
            async with asyncio.timeout(ANSWER_S):
                await connection.send_command("SUBSCRIBE", self._channel)
                await connection.read_response()
            self._hears = self._ever_heard = True
            self._mailbox.put(None)
            asked = False
            # If another call finds the primaries elsewhere, this connection lives on but stays
            # silent for ever.
            while list(self._topology.nodes()) == here:
                reply = await connection.read_response(timeout=ANSWER_S if asked else QUIET_S)
                if reply is not None:
                    asked = False
                    if reply[0] == b"message":
                        self._mailbox.put(reply[2])
                elif asked:
                    raise TimeoutError("no answer to PING")
                else:
                    async with asyncio.timeout(ANSWER_S):
                        await connection.send_command("PING")
                    asked = True
        finally:
            await connection.disconnect(nowait=True)
