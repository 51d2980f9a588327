"""The options of a transport: everything that it must know of its environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from session_store.redis_address import Address


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must have a durable call, and how long they may take."""

    replicas: int
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """Where Redis is, how to log in, and how long to wait. No password is shown."""

    address: Address
    timeout_s: float
    """Bound on each connection attempt and on each call."""
    connections: int
    """The most connections per primary. Durable calls have as many of their own."""
    retry_s: float
    """Pause before a primary that did not answer is probed again."""
    replication: Replication | None = None
    """What durable calls wait for; ``None`` if the primary's answer is enough."""
    ca_file: Path | None = None
    """Certificates to trust for TLS, instead of the system's."""
    cert_file: Path | None = None
    """The client's own certificate, if Redis asks for one."""
    key_file: Path | None = None
    """The private key of that certificate."""
    sentinel_user: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
