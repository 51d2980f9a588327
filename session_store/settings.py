"""Settings of the store, from the environment (``REJOIN_*``) or from arguments."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, RedisDsn, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from session_store.keys import (
    DEFAULT_EXPIRY_MARGIN,
    DEFAULT_LEASE,
    DEFAULT_MAX_TURNS,
    DEFAULT_MODEL_TURNS,
    DEFAULT_RESUME_WINDOWS,
    DEFAULT_RETENTION,
)


class StoreSettings(BaseSettings):
    """How the store reaches Redis, seals, and for how long it keeps what.

    Keys come either from ``key_file`` (JSON: ``keys``, ``primary``, ``pseudonym_key``) or from
    the three separate settings; ``Keyring.from_settings`` reads them.
    """

    model_config = SettingsConfigDict(
        env_prefix="REJOIN_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    redis_url: RedisDsn = RedisDsn("redis://127.0.0.1:6379/0")
    """``redis://`` or ``rediss://``, with user and password where Redis asks for them."""
    redis_timeout_s: float = Field(default=2.0, gt=0)
    """Bound on each connection attempt and each call, in seconds."""
    redis_max_connections: int = Field(default=64, ge=1)

    key_file: Path | None = None
    encryption_keys: SecretStr | None = None
    """Key-encryption keys: ``id:base64`` pairs of 32 bytes each, separated by commas."""
    primary_key: str | None = None
    """Id of the key that wraps new data keys. Named, never inferred from order."""
    pseudonym_key: SecretStr | None = None
    """Base64 of 32 bytes; turns identities into pseudonyms. It does not rotate."""

    lease_s: float = Field(default=DEFAULT_LEASE.total_seconds(), gt=0)
    lease_renew_s: float = Field(default=DEFAULT_LEASE.total_seconds() / 3, gt=0)
    agent_expected_s: float = Field(default=10.0, gt=0)
    """How long a dispatched agent may take to come before another one is dispatched."""
    resume_window_first_s: float = Field(default=DEFAULT_RESUME_WINDOWS[0].total_seconds(), gt=0)
    """Resume window in seconds of a participant who never came back yet."""
    resume_window_early_s: float = Field(default=DEFAULT_RESUME_WINDOWS[1].total_seconds(), gt=0)
    """The same after one or two returns."""
    resume_window_regular_s: float = Field(default=DEFAULT_RESUME_WINDOWS[2].total_seconds(), gt=0)
    """The same from three returns on."""
    retention_s: float = Field(default=DEFAULT_RETENTION.total_seconds(), ge=1, le=7 * 24 * 3600)
    """How long a record is kept after its participant was last seen; at most 7 days."""
    max_turns: int = Field(default=DEFAULT_MAX_TURNS, ge=1, le=10_000)
    """Turns kept per session; older ones are trimmed."""
    model_turns: int = Field(default=DEFAULT_MODEL_TURNS, ge=0, le=1_000)
    """Of these, how many are given to the model on resume."""

    @model_validator(mode="after")
    def _lease_outlives_its_renewal(self) -> Self:
        if self.lease_renew_s * 2 > self.lease_s:
            raise ValueError(
                f"REJOIN_LEASE_RENEW_S ({self.lease_renew_s}) must be at most half of "
                f"REJOIN_LEASE_S ({self.lease_s}), or one late renewal loses the lease"
            )
        return self

    @property
    def expiry(self) -> timedelta:
        """Lifetime of a key after its last write: the retention, and a margin."""
        return timedelta(seconds=self.retention_s) + DEFAULT_EXPIRY_MARGIN


def explain(error: ValidationError) -> str:
    """Say which settings are wrong, and why, without their values."""
    prefix = "REJOIN_" if error.title == StoreSettings.__name__ else ""
    return "; ".join(
        ": ".join(filter(None, [_name(prefix, each["loc"]), each["msg"]]))
        for each in error.errors(include_url=False, include_input=False)
    )


def _name(prefix: str, location: tuple[int | str, ...]) -> str:
    return f"{prefix}{location[0]}".upper() if location else ""
