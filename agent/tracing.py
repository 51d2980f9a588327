"""Traces of jobs: LiveKit's spans and the store's, sent as OpenTelemetry's settings say."""

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
"""How long the end of a job waits until its last spans are delivered."""


def begin(settings: AgentSettings) -> None:
    """Trace this process, if an endpoint is set. Call it once, before its first job."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    # Imported only to trace: they take a while.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
    resource = Resource.create({SERVICE_NAME: name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # The exporter reads the other settings itself: headers, compression, timeouts.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    set_tracer_provider(provider, allow_pii=False)
    # The job's own span ends last, and a process of multiprocessing does not run atexit.
    util.Finalize(None, _end, args=(provider,), exitpriority=1)


def _end(provider: TracerProvider) -> None:
    """Send the last spans, within a bound: an unreachable collector must not delay the end."""
    sending = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    sending.start()
    sending.join(LAST_S)
