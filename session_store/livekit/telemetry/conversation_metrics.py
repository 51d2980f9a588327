"""What is measured of a conversation, from its beginning in a job to its end there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from session_store.livekit.telemetry.joins import RESUMED_AS
from session_store.livekit.telemetry.page_quality import QualityReports

if TYPE_CHECKING:
    from livekit import rtc

    from session_store.livekit.job.conversation import Entry
    from session_store.meter import Meter


class MeasuredConversation:
    """Tells a meter of one conversation."""

    def __init__(self, meter: Meter, entry: Entry, quality: QualityReports) -> None:
        self._meter = meter
        self._entry = entry
        self._quality = quality

    @classmethod
    def begin(cls, meter: Meter, entry: Entry, room: rtc.Room) -> Self:
        """Note that a job has it, and listen to what its owner says of the connection."""
        meter.conversation_begun()
        quality = QualityReports(room, entry.owner.identity, meter)
        quality.start()
        return cls(meter, entry, quality)

    def listening(self) -> None:
        """Note that the agent listens now."""
        # Where the store is away, nothing was resumed.
        if self._entry.beginning is None:
            waited_s = asyncio.get_running_loop().time() - self._entry.waited_from
            self._meter.resumed(RESUMED_AS[self._entry.joined.outcome], waited_s)

    def stop_listening(self) -> None:
        """Hear nothing more from the owner."""
        self._quality.stop()

    def over(self) -> None:
        """Note that the job has it no more."""
        self._meter.conversation_over()
