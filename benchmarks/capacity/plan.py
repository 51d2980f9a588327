"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """How many conversations, and for how long."""

    speaking: int
    """Conversations with an open microphone."""
    typing: int
    """Conversations without one."""
    idle_s: float
    """How long a worker without a conversation is looked at."""
    quiet_s: float
    busy_s: float
    tokens: int
    """Asked of the gateway, of each kind."""
    calls: int
    """To Redis, of each kind."""
    sessions: int
    """That are weighed together."""


# Two cores must hold them with room to spare: those who wait for one are not measured.
FULL: Final = Plan(
    speaking=2,
    typing=2,
    idle_s=12,
    quiet_s=15,
    busy_s=30,
    tokens=200,
    calls=8_000,
    sessions=1_000,
)
QUICK: Final = Plan(
    speaking=1, typing=1, idle_s=3, quiet_s=3, busy_s=12, tokens=10, calls=320, sessions=100
)
