"""Shows watchers that a job lives, and shows the job that it is cut off from its room."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from session_store.livekit.rooms.pings import COMING, HERE, PING

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit import rtc

logger = logging.getLogger(__name__)

CUT_S: Final = 15.0
"""How long the SDK may try to get back into the room before the job counts as cut off.

Measured with livekit 1.1.21: if LiveKit was down for 3, 6 or 9 s, the SDK is back after 4.3, 10.1
and 13.1 s. No agent is replaced for that. If connections are refused, the SDK gives up by itself
after 18.2 s, and the job ends. If nothing answers (a network that drops everything), the SDK
notices after 13 s, and then retries without end: over 135 s were seen."""


class Liveness:
    """Answers pings from ``start`` to ``stop``, and watches the job's connection to its room.

    A job that was removed from the room is not cut off: LiveKit itself ends it.
    """

    def __init__(self, room: rtc.Room, on_cut: Callable[[], None]) -> None:
        """Make it.

        Args:
            room: connected.
            on_cut: called once the job has been out of its room for ``CUT_S``, while its
                participant may be waiting there. Must not block.
        """
        self._room = room
        self._on_cut = on_cut
        self._cut: asyncio.TimerHandle | None = None
        self._is_on = False
        self._has_begun = False

    def start(self) -> None:
        """Begin to answer and to watch. A second start is a no-op."""
        if self._is_on:
            return
        self._is_on = True
        self._room.local_participant.register_rpc_method(PING, self._say)
        self._room.on("reconnecting", self._begin_to_count)
        self._room.on("reconnected", self._stop_counting)
        self._room.on("disconnected", self._stop_counting)

    def here(self) -> None:
        """From now on, answer that the conversation has begun."""
        self._has_begun = True

    def stop(self) -> None:
        """Answer no pings any more: the job is leaving, or has lost its conversation."""
        if not self._is_on:
            return
        self._is_on = False
        self._room.local_participant.unregister_rpc_method(PING)
        self._room.off("reconnecting", self._begin_to_count)
        self._room.off("reconnected", self._stop_counting)
        self._room.off("disconnected", self._stop_counting)
        self._stop_counting()

    def _begin_to_count(self, *_: object) -> None:
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(CUT_S, self._is_cut)

    def _stop_counting(self, *_: object) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def _is_cut(self) -> None:
        logger.warning("the job is cut off from its room", extra={"for_s": CUT_S})
        self._on_cut()

    async def _say(self, _: rtc.RpcInvocationData) -> str:
        return HERE if self._has_begun else COMING
