"""Settings of the worker, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class AgentSettings(BaseSettings):
    """How the worker runs. LiveKit's own settings have LiveKit's own names."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    agent_pipeline: Literal["demo", "livekit", "openai"] = "demo"
    """Which speech and language models: ``demo`` needs no keys and no network."""
    agent_http_host: str = "127.0.0.1"
    """Where the worker's health endpoint listens; ``0.0.0.0`` in a container."""
    agent_http_port: int = Field(default=8081, ge=0, le=65535)
    """Port of the worker's health endpoint."""
    agent_ready_file: Path | None = None
    """Made when LiveKit knows the worker, removed at its start: a readiness probe."""
    agent_max_jobs: int = Field(default=10, ge=1)
    """Conversations that this worker takes at once."""
    agent_idle_processes: int = Field(default=1, ge=0)
    """Processes that are kept warm for the next conversations."""
    livekit_url: str = Field(min_length=1)
    livekit_api_key: str = Field(min_length=1)
    livekit_api_secret: str = Field(min_length=1)
    livekit_agent_name: str = Field(default="assistant", min_length=1)
