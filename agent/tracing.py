"""Traces of jobs, sent where OpenTelemetry's own settings say: LiveKit's spans and the store's."""

from __future__ import annotations

import os
import threading
from multiprocessing import util
from typing import TYPE_CHECKING, Final

from livekit.agents.telemetry import set_tracer_provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from agent.settings import AgentSettings

SERVICE: Final = "rejoin-agent"
LAST_S: Final = 3.0
"""How long the end of a job waits for its last spans to be taken."""


def begin(settings: AgentSettings) -> None:
    """Trace this process, if there is somebody to send it to. Once, before its first job."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    # Not where nobody traces: they take a while to import.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    resource = Resource.create({SERVICE_NAME: name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # It reads the other settings by itself: headers, compression, time-outs.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    set_tracer_provider(provider, allow_pii=False)
    # The job's own span ends last, and a process of multiprocessing runs nothing of atexit.
    util.Finalize(None, _end, args=(provider,), exitpriority=1)


def _end(provider: TracerProvider) -> None:
    """Send what is left, within a bound: a collector that is away must hold up nobody."""
    sending = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    sending.start()
    sending.join(LAST_S)
