"""Settings of the store, from the environment (``REJOIN_*``) or from arguments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from session_store.keys import (
    DEFAULT_LEASE,
    DEFAULT_MAX_SESSIONS,
    DEFAULT_MAX_TURNS,
    DEFAULT_MODEL_TURNS,
    DEFAULT_RESUME_WINDOWS,
    DEFAULT_RETENTION,
    KeySpace,
)
from session_store.redis_address import Address


def not_an_example(value: str) -> str:
    """Refuse ``change-me`` and the like, for the places where secrets go.

    Raises:
        ValueError: the value is a public example.
    """
    if re.search(r"change[-_ ]?me", value, re.IGNORECASE):
        raise ValueError("this is an example; run make secrets, or set one of your own")
    return value


def _of_ones_own(secret: SecretStr) -> SecretStr:
    not_an_example(secret.get_secret_value())
    return secret


def _that_parses(url: SecretStr) -> SecretStr:
    Address.parse(url.get_secret_value())
    return url


def _of_a_key_space(namespace: str) -> str:
    return KeySpace(namespace).namespace


OwnSecret = Annotated[SecretStr, AfterValidator(_of_ones_own)]


class StoreSettings(BaseSettings):
    """How the store reaches Redis, how it seals, and how long it keeps records.

    Keys come either from ``key_file`` (JSON: ``keys``, ``primary``, ``pseudonym_key``) or from
    the three separate settings; ``Keyring.from_settings`` reads them.
    """

    model_config = SettingsConfigDict(
        env_prefix="REJOIN_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    namespace: Annotated[str, AfterValidator(_of_a_key_space)] = ""
    """Keeps this deployment apart from others in the same Redis: at most 32 characters of a-z, 0-9,
    ``-`` and ``_``. Empty: none. Another namespace is another, empty store."""
    enabled: bool = True
    """Off: ``persist`` and ``watch_over`` do nothing, and nothing is kept."""
    redis_url: Annotated[OwnSecret, AfterValidator(_that_parses)] = SecretStr(
        "redis://127.0.0.1:6379/0"
    )
    """``redis://``, ``redis+sentinel://`` or ``redis+cluster://`` (``rediss`` for TLS), with user
    and password if Redis asks for them; see ``Address``. Secret, because it may hold a password."""
    redis_timeout_s: float = Field(default=2.0, gt=0)
    """Bound on each connection attempt and each call, in seconds."""
    redis_connections: int = Field(default=4, ge=1, le=64)
    """Connections per primary. Calls share them, so that a few are enough."""
    redis_retry_s: float = Field(default=0.5, gt=0)
    """While Redis is unreachable, calls fail at once; seconds between two probes."""
    redis_ca_file: Path | None = None
    """Certificates to trust for TLS, instead of the system's."""
    redis_cert_file: Path | None = None
    """Client certificate, if Redis asks for one."""
    redis_key_file: Path | None = None
    """Private key of that certificate."""
    redis_sentinel_user: str | None = None
    redis_sentinel_password: OwnSecret | None = None
    durability: Literal["primary", "replicated"] = "primary"
    """When a turn counts as saved: once the primary has it, or ``replicas_asked`` replicas too."""
    replicas_asked: int = Field(default=1, ge=1, le=16)
    replica_timeout_s: float = Field(default=1.0, gt=0)
    """How long the replicas may take. After that it is unknown whether a turn is saved."""

    key_file: Path | None = None
    encryption_keys: OwnSecret | None = None
    """Key-encryption keys: ``id:base64`` pairs of 32 bytes each, separated by commas."""
    primary_key: str | None = None
    """Id of the key that wraps new data keys. Named, never inferred from order."""
    pseudonym_key: OwnSecret | None = None
    """Base64 of 32 bytes; turns identities into pseudonyms. It does not rotate."""

    lease_s: float = Field(default=DEFAULT_LEASE.total_seconds(), gt=0)
    lease_renew_s: float = Field(default=DEFAULT_LEASE.total_seconds() / 3, gt=0)
    agent_expected_s: float = Field(default=10.0, gt=0)
    """How long a dispatched agent may take to come before another one is dispatched."""
    takeovers_per_s: float = Field(default=10.0, gt=0)
    """How many replacements of lost agents one worker dispatches per second; the others wait."""
    resume_window_first_s: float = Field(default=DEFAULT_RESUME_WINDOWS[0].total_seconds(), gt=0)
    """Resume window, in seconds, before a participant's first return."""
    resume_window_early_s: float = Field(default=DEFAULT_RESUME_WINDOWS[1].total_seconds(), gt=0)
    """The same after one or two returns."""
    resume_window_regular_s: float = Field(default=DEFAULT_RESUME_WINDOWS[2].total_seconds(), gt=0)
    """The same from three returns on."""
    retention_s: float = Field(default=DEFAULT_RETENTION.total_seconds(), ge=1, le=7 * 24 * 3600)
    """How long a record is kept after its participant was last seen; at most 7 days."""
    max_turns: int = Field(default=DEFAULT_MAX_TURNS, ge=1, le=10_000)
    """Turns kept per session; older ones are trimmed."""
    max_sessions: int = Field(default=DEFAULT_MAX_SESSIONS, ge=1, le=1_000)
    """Sessions kept per participant; one more erases the oldest that has ended."""
    model_turns: int = Field(default=DEFAULT_MODEL_TURNS, ge=0, le=1_000)
    """How many of the newest turns the model gets on resume."""
    publish_turns: bool = False
    """Whether each append is published as an event. A Cluster sends every event to every node."""
    recorder_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """Bytes of sealed turns that one conversation keeps in memory while Redis is unreachable."""
    spool_dir: Path | None = None
    """Folder where a job that ends without Redis leaves its sealed turns. Unset: they are lost."""
    erasure_journal: Path | None = None
    """File outside of Redis that notes each erasure, for a replay after a restored backup."""

    @property
    def redis_address(self) -> Address:
        """``redis_url``, parsed."""
        return Address.parse(self.redis_url.get_secret_value())

    @model_validator(mode="after")
    def _lease_outlives_its_renewal(self) -> Self:
        if self.lease_renew_s * 2 > self.lease_s:
            raise ValueError(
                f"REJOIN_LEASE_RENEW_S ({self.lease_renew_s}) must be at most half of "
                f"REJOIN_LEASE_S ({self.lease_s}), or one late renewal loses the lease"
            )
        return self

    @model_validator(mode="after")
    def _replicas_answer_before_the_call_ends(self) -> Self:
        if self.durability == "replicated" and self.replica_timeout_s >= self.redis_timeout_s:
            raise ValueError(
                f"REJOIN_REPLICA_TIMEOUT_S ({self.replica_timeout_s}) must be less than "
                f"REJOIN_REDIS_TIMEOUT_S ({self.redis_timeout_s}), which bounds the whole call"
            )
        return self


def explain(error: ValidationError) -> str:
    """Return which settings are wrong, and why, without their values."""
    prefix = "REJOIN_" if error.title in (StoreSettings.__name__, "LogSettings") else ""
    return "; ".join(
        ": ".join(filter(None, [_name(prefix, wrong["loc"]), wrong["msg"]]))
        for wrong in error.errors(include_url=False, include_input=False)
    )


def _name(prefix: str, location: tuple[int | str, ...]) -> str:
    return f"{prefix}{location[0]}".upper() if location else ""
