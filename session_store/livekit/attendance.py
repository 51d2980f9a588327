"""Who comes and goes: turns LiveKit's events into arrivals and departures of one participant.

The same identity joining again without having left looks like a departure and, 5 ms later, an
arrival under a new sid; so a departure counts only when nobody came back for a moment. Who was
in the room first raises no event, and is looked for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from session_store.errors import SessionStoreError
from session_store.livekit.owner import load_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from livekit import rtc

logger = logging.getLogger(__name__)

SETTLES_S: Final = 0.5
"""A participant who is back within this time has not left."""


class Attendance:
    """Calls ``on_came(load_id)`` and ``on_left()``, one at a time and in order."""

    def __init__(
        self,
        room: rtc.Room,
        identity: str,
        *,
        on_came: Callable[[str], Awaitable[None]],
        on_left: Callable[[], Awaitable[None]],
    ) -> None:
        self._room = room
        self._identity = identity
        self._on_came = on_came
        self._on_left = on_left
        self._events: asyncio.Queue[rtc.RemoteParticipant | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.present = False
        """Whether the participant is in the room, as far as was seen."""

    def start(self) -> rtc.RemoteParticipant | None:
        """Begin to watch; return the participant if it is in the room already."""
        self._room.on("participant_connected", self._connected)
        self._room.on("participant_disconnected", self._disconnected)
        self._task = asyncio.create_task(self._follow(), name="attendance")
        participant = self._room.remote_participants.get(self._identity)
        self.present = participant is not None
        return participant

    def stop(self) -> None:
        """Stop watching."""
        self._room.off("participant_connected", self._connected)
        self._room.off("participant_disconnected", self._disconnected)
        if self._task is not None:
            self._task.cancel()

    def _connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self.present = True
            self._events.put_nowait(participant)

    def _disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self.present = False
            self._events.put_nowait(None)

    async def _follow(self) -> None:
        while True:
            participant = await self._events.get()
            try:
                if participant is None:
                    participant = await self._back_within(SETTLES_S)
                await (self._on_left() if participant is None else self._came(participant))
            except SessionStoreError as error:
                logger.warning("the store refused", extra={"error": str(error)})

    async def _came(self, participant: rtc.RemoteParticipant) -> None:
        await self._on_came(load_id_of(participant))

    async def _back_within(self, seconds: float) -> Any:
        """Return the participant if the next event is its return."""
        try:
            async with asyncio.timeout(seconds):
                return await self._events.get()
        except TimeoutError:
            return None
