"""The quality of a page's connection, as the page itself reports it every ten seconds.

Nothing verifies the report. So it is accepted only from the conversation's participant, within
bounds, and not too often.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from livekit import rtc

    from session_store.meter import Meter

TOPIC: Final = "rj.quality"
MAX_BYTES: Final = 256
LEAST_GAP_S: Final = 5.0
"""A report that comes sooner after the one before is ignored."""


class QualityReport(BaseModel):
    """One data packet on ``rj.quality``, in JSON."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, strict=True)

    v: Literal[1]
    round_trip: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
    """Seconds."""
    loss: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Share of packets that were lost; ``None`` if the browser does not know it."""


class QualityReports:
    """Passes the reports of one participant to a meter, from ``start`` to ``stop``."""

    def __init__(self, room: rtc.Room, identity: str, meter: Meter) -> None:
        """Make it; ``identity`` is the participant's, as LiveKit knows it."""
        self._room = room
        self._identity = identity
        self._meter = meter
        self._ignored_until = 0.0

    def start(self) -> None:
        """Begin to listen."""
        self._room.on("data_received", self._hear)

    def stop(self) -> None:
        """Stop listening."""
        self._room.off("data_received", self._hear)

    def _hear(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant
        is_ours = sender is not None and sender.identity == self._identity
        if packet.topic != TOPIC or not is_ours or len(packet.data) > MAX_BYTES:
            return
        now = asyncio.get_running_loop().time()
        if now < self._ignored_until:
            return
        self._ignored_until = now + LEAST_GAP_S
        try:
            report = QualityReport.model_validate_json(packet.data)
        except ValidationError:
            return
        self._meter.client_quality(report.round_trip, report.loss)
