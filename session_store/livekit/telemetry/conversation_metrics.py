"""What is measured of a conversation: its join, and its time in a job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from session_store.backends.values import JoinOutcome
from session_store.errors import (
    LeaseHeld,
    SealBroken,
    SessionEnded,
    SessionGone,
    UnknownKey,
    UnknownSchema,
)
from session_store.livekit.telemetry.page_quality import QualityReports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from livekit import rtc

    from session_store.errors import SessionStoreError
    from session_store.meter import JoinEnd, Meter, Resumption

JOINED_AS: Final[Mapping[JoinOutcome, JoinEnd]] = {
    JoinOutcome.CREATED: "created",
    JoinOutcome.REJOINED: "rejoined",
    JoinOutcome.TAKEN_OVER: "taken_over",
    JoinOutcome.HANDED_OVER: "handed_over",
}
RESUMED_AS: Final[Mapping[JoinOutcome, Resumption]] = {
    JoinOutcome.CREATED: "new",
    JoinOutcome.REJOINED: "return",
    JoinOutcome.TAKEN_OVER: "takeover",
    JoinOutcome.HANDED_OVER: "takeover",
}


def failed_as(error: SessionStoreError) -> JoinEnd:
    """Return the label under which a join that ended in an error is counted."""
    if isinstance(error, LeaseHeld):
        return "lease_held"
    if isinstance(error, SessionGone | SessionEnded):
        return "gone"
    if isinstance(error, SealBroken | UnknownKey | UnknownSchema):
        return "unreadable"
    return "failed"


class ConversationMetrics:
    """Reports one conversation to a meter, from ``begin`` to ``over``."""

    def __init__(self, meter: Meter, room: rtc.Room, identity: str) -> None:
        """Make it; ``identity`` is the participant's, as LiveKit knows it."""
        self._meter = meter
        self._quality = QualityReports(room, identity, meter)

    def begin(self) -> None:
        """Count the conversation, and listen to what its page reports of the connection."""
        self._meter.conversation_begun()
        self._quality.start()

    def resumed(self, outcome: JoinOutcome, *, waited_from: float) -> None:
        """Note that the agent listens now.

        Args:
            outcome: of the job's join.
            waited_from: when its participant was there, by the event loop's clock.
        """
        waited_s = asyncio.get_running_loop().time() - waited_from
        self._meter.resumed(RESUMED_AS[outcome], waited_s)

    def stop_listening(self) -> None:
        """Ignore what the page reports from now on."""
        self._quality.stop()

    def over(self) -> None:
        """Note that the conversation of this job is over."""
        self._meter.conversation_over()
