"""Settings of the logs, the same for every program."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def _in_capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


class LogSettings(BaseSettings):
    """How a program logs."""

    model_config = SettingsConfigDict(
        env_prefix="REJOIN_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    log_format: Literal["json", "text"] | None = None
    """One JSON object per line, or text for people. Unset: text on a terminal, JSON elsewhere."""
    log_level: Annotated[Level, BeforeValidator(_in_capitals)] = "INFO"
    """The lowest level that is logged."""

    def is_json(self, *, on_terminal: bool) -> bool:
        """Return whether lines are JSON, on a terminal or elsewhere."""
        return self.log_format == "json" or (self.log_format is None and not on_terminal)
