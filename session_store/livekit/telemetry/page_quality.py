"""How good the connection of a page is, as the page itself tells every ten seconds.

It is the page's word alone: taken from the conversation's owner, within bounds, and not too often.
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
"""What comes sooner after the report before is not looked at."""


class QualityReport(BaseModel):
    """One data packet on ``rj.quality``, in JSON."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, strict=True)

    v: Literal[1]
    round_trip: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
    """Seconds."""
    loss: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """Share of packets that were lost; ``None`` where the browser does not know."""


class QualityReports:
    """Tells a meter what the owner of a conversation reports, from ``start`` to ``stop``."""

    def __init__(self, room: rtc.Room, owner: str, meter: Meter) -> None:
        """Make it; ``owner`` is the identity, as LiveKit knows it."""
        self._room = room
        self._owner = owner
        self._meter = meter
        self._deaf_until = 0.0

    def start(self) -> None:
        """Begin to listen."""
        self._room.on("data_received", self._hear)

    def stop(self) -> None:
        """Stop listening."""
        self._room.off("data_received", self._hear)

    def _hear(self, packet: rtc.DataPacket) -> None:
        is_owners = packet.participant is not None and packet.participant.identity == self._owner
        if packet.topic != TOPIC or not is_owners or len(packet.data) > MAX_BYTES:
            return
        now = asyncio.get_running_loop().time()
        if now < self._deaf_until:
            return
        self._deaf_until = now + LEAST_GAP_S
        try:
            report = QualityReport.model_validate_json(packet.data)
        except ValidationError:
            return
        self._meter.client_quality(report.round_trip, report.loss)
