"""Presence of one participant: turns LiveKit's events into arrivals and departures.

The same identity can join again without having left. LiveKit reports that as a departure and, 5 ms
later, an arrival under a new sid. So a departure counts only if the participant stays away for a
moment. After the job's own connection was lost, all participants seem to have left, and come back
as their pages reconnect. Then a departure counts only after the longest time for which
livekit-client retries. A participant who was in the room before the job raises no event, so
``start`` looks for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from session_store.livekit.job.participant import coming_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit import rtc

    from session_store.livekit.job.participant import Coming

SETTLES_S: Final = 0.5
"""A participant who is back within this time has not left."""
RECONNECTS_S: Final = 45.0
"""The same after the job's own connection was lost: livekit-client retries for 44 s."""

KEPT_S: Final = 1.5
"""What is sent to a participant whose connection does not stand yet, LiveKit keeps for 2 s."""


class Presence:
    """Calls ``on_came`` and ``on_left``, which must not block."""

    def __init__(
        self,
        room: rtc.Room,
        identity: str,
        *,
        on_came: Callable[[Coming], None],
        on_left: Callable[[], None],
    ) -> None:
        self._room = room
        self._identity = identity
        self._on_came = on_came
        self._on_left = on_left
        self._leaving: asyncio.TimerHandle | None = None
        self._trusted_from = 0.0
        """Before this time of the event loop, a departure may be the job's own lost connection."""
        self._came_at = 0.0
        self._gone_from: float | None = None
        """Since when the participant may be gone, by the event loop's clock."""
        self.away_s = 0.0
        """How long the participant was gone, when it came last."""
        self.is_here = True
        """False once the participant has certainly left. The job began with it in the room."""

    def start(self) -> rtc.RemoteParticipant | None:
        """Begin to watch; return the participant if it is in the room already."""
        self._room.on("participant_connected", self._connected)
        self._room.on("participant_active", self._active)
        self._room.on("participant_disconnected", self._disconnected)
        self._room.on("reconnecting", self._distrust)
        self._room.on("reconnected", self._distrust)
        self._room.on("disconnected", self._distrust)
        participant = self._room.remote_participants.get(self._identity)
        self.is_here = participant is not None
        self._came_at = asyncio.get_running_loop().time()
        if participant is None:
            self._gone_from = self._came_at
        return participant

    def stop(self) -> None:
        """Stop watching."""
        self._room.off("participant_connected", self._connected)
        self._room.off("participant_active", self._active)
        self._room.off("participant_disconnected", self._disconnected)
        self._room.off("reconnecting", self._distrust)
        self._room.off("reconnected", self._distrust)
        self._room.off("disconnected", self._distrust)
        self._settle()

    def _connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self.is_here = True
            self._settle()
            self._came_at = asyncio.get_running_loop().time()
            gone_from, self._gone_from = self._gone_from, None
            self.away_s = 0.0 if gone_from is None else self._came_at - gone_from
            self._on_came(coming_of(participant))

    def _active(self, participant: rtc.RemoteParticipant) -> None:
        """Receive the participant again, if what was sent at the arrival is lost by now."""
        waited_s = asyncio.get_running_loop().time() - self._came_at
        if participant.identity == self._identity and self.is_here and waited_s > KEPT_S:
            self._on_came(coming_of(participant))

    def _disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self._settle()
            self._gone_from = asyncio.get_running_loop().time()
            self._wait_for_return()

    def _distrust(self, *_: object) -> None:
        """Distrust departures for a while: the job's own connection was lost, or is back."""
        self._trusted_from = asyncio.get_running_loop().time() + RECONNECTS_S
        if self._leaving is not None:
            self._settle()
            self._wait_for_return()

    def _wait_for_return(self) -> None:
        loop = asyncio.get_running_loop()
        settled_at = max(loop.time() + SETTLES_S, self._trusted_from)
        self._leaving = loop.call_at(settled_at, self._has_left)

    def _has_left(self) -> None:
        self.is_here = False
        self._on_left()

    def _settle(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
