"""What a scripted participant hears: when agents begin to speak, and when they are silent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
from livekit import rtc

from dev.rig.notes import Kind

if TYPE_CHECKING:
    from dev.rig.notes import Notes

_LOUD: Final = 600
"""Amplitude of 32 767 from which on an agent is heard."""
_SILENCE_S: Final = 0.5
"""A voice pauses for less than this between its words."""
_RATE: Final = 8_000


class Hearing:
    """Listens to agents, and notes each beginning of their speech."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._heard_at: dict[str, float] = {}

    def is_silent(self, since: float) -> bool:
        """Return whether no agent was heard for half a second, nor since then (monotonic)."""
        return time.monotonic() - max([since, *self._heard_at.values()]) > _SILENCE_S

    async def listen(self, track: rtc.Track, agent: str) -> None:
        """Listen to an agent's track until it ends."""
        stream = rtc.AudioStream(track, sample_rate=_RATE, num_channels=1)
        try:
            async for event in stream:
                if np.abs(np.frombuffer(event.frame.data, dtype=np.int16)).max() >= _LOUD:
                    self._note(agent)
        finally:
            await stream.aclose()

    def _note(self, agent: str) -> None:
        now = time.monotonic()
        if now - self._heard_at.get(agent, 0.0) > _SILENCE_S:
            self._notes.add(Kind.SOUND, agent)
        self._heard_at[agent] = now
