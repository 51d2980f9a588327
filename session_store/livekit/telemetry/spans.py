"""Spans of the store's operations, under LiveKit's own spans, if LiveKit's tracing is on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from livekit.agents.telemetry import tracer as livekit_tracer
from opentelemetry.trace import SpanKind, Status, StatusCode

if TYPE_CHECKING:
    from opentelemetry.trace import Span

LOOKS_EVERY_S: Final = 5.0
"""How often to check whether tracing was switched on. The check takes 30 microseconds."""


class StoreSpan:
    """``Span`` of one operation."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, outcome: str, *, failed: bool = False) -> None:
        """See ``Span``."""
        self._span.set_attribute("rejoin.outcome", outcome)
        if failed:
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class LiveKitTracer:
    """``Tracer`` that uses the provider of ``livekit.agents.telemetry.set_tracer_provider``.

    That function may be called at any time, also after the store was opened.
    """

    def __init__(self) -> None:
        self._is_on = False
        self._look_at = 0.0

    @property
    def is_on(self) -> bool:
        """See ``Tracer``."""
        if not self._is_on and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOKS_EVERY_S
            # A span that never ends is not exported.
            self._is_on = livekit_tracer.start_span("rejoin.look").is_recording()
        return self._is_on

    def begin(self, operation: str, *, session_id: str, size: int) -> StoreSpan:
        """See ``Tracer``."""
        attributes: dict[str, str | int] = {
            "db.system.name": "redis",
            "db.operation.name": operation,
            "rejoin.bytes": size,
        }
        if session_id:
            attributes["rejoin.session_id"] = session_id
        name = f"rejoin.{operation}"
        return StoreSpan(
            livekit_tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        )
