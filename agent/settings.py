"""Settings of the worker, from the environment."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (pydantic reads it)
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.pipeline_settings import PipelineSettings
from session_store.settings import not_an_example


class AgentSettings(PipelineSettings):
    """How the worker runs. LiveKit's own settings have LiveKit's own names."""

    agent_http_host: str = "127.0.0.1"
    """Address on which the worker's health endpoint listens; ``0.0.0.0`` in a container."""
    agent_http_port: int = Field(default=8081, ge=0, le=65535)
    """Port of the worker's health endpoint."""
    agent_metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of ``GET /metrics`` for Prometheus, on the same address. Unset: nothing is counted."""
    agent_metrics_dir: Path | None = None
    """Folder for the counts of this worker's processes only: it is emptied at the start. By default
    a new temporary folder."""
    agent_ready_file: Path | None = None
    """A file for readiness probes: removed at the start, made once LiveKit knows the worker."""
    agent_max_jobs: int = Field(default=10, ge=1)
    """Conversations that this worker holds at once."""
    agent_idle_processes: int = Field(default=1, ge=0)
    """Processes kept warm for the next conversations."""
    agent_drain_s: int = Field(default=30, ge=1)
    """Seconds for which a stopping worker lets its conversations continue. Then it ends, and other
    workers take them over. Give it 20 s more before you kill it."""
    otel_exporter_otlp_endpoint: str = ""
    """Address to which jobs send traces: OTLP over HTTP. A setting of OpenTelemetry itself."""
    livekit_url: str = Field(min_length=1)
    livekit_api_key: Annotated[str, AfterValidator(not_an_example)] = Field(min_length=1)
    livekit_api_secret: Annotated[str, AfterValidator(not_an_example)] = Field(min_length=1)
    livekit_agent_name: str = Field(default="assistant", min_length=1)
