"""Settings of the gateway, from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from session_store.settings import not_an_example

PAGE = Path(__file__).parent.parent / "web" / "dist"


class GatewaySettings(BaseSettings):
    """How the gateway runs. LiveKit's own settings have LiveKit's own names."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, le=65535)
    gateway_metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of ``GET /metrics`` for Prometheus, on the same address. Unset: nothing is counted."""
    gateway_page: Path = PAGE
    """Folder of the built page."""
    livekit_url: str = Field(min_length=1)
    """LiveKit's address for the gateway: ``ws://`` or ``wss://``."""
    livekit_public_url: str = ""
    """LiveKit's address for browsers, if it is another one."""
    livekit_api_key: Annotated[str, AfterValidator(not_an_example)] = Field(min_length=1)
    livekit_api_secret: Annotated[str, AfterValidator(not_an_example)] = Field(min_length=1)
    livekit_agent_name: str = Field(default="assistant", min_length=1)
    gateway_token_ttl_s: int = Field(default=600, ge=60, le=24 * 3600)
    """Seconds in which a token may be used to connect. LiveKit refreshes it during a call."""
    gateway_departure_timeout_s: int = Field(default=60, ge=1)
    """Seconds for which an empty room waits for its participant: by default longer than the 44 s
    for which livekit-client retries. A page that comes later gets a new room of the same
    session."""
    gateway_asks_per_minute: int = Field(default=30, ge=0)
    """Requests for a token per minute and participant, with 20 at once; 0 means no limit."""
    gateway_asks_per_minute_address: int = Field(default=120, ge=0)
    """The same for all participants behind one address, with as many at once; 0 means no limit."""

    @property
    def public_url(self) -> str:
        """The LiveKit address for browsers."""
        return self.livekit_public_url or self.livekit_url
