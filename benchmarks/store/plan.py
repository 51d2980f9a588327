"""Who is compared, and how much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONTESTANTS: Final = ("ours", "pipeline", "redis_session", "encrypted_session")


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    alone_s: float
    """How long one task measures, per round."""
    crowd_s: float
    """How long many tasks do."""
    levels: tuple[int, ...]
    """Numbers of sessions that are compared."""
    joins: int
    """Of each kind, per round."""
    idle: int
    """Sessions that are weighed together."""


FULL: Final = Plan(
    rounds=7, alone_s=0.3, crowd_s=0.7, levels=(1, 10, 100, 1000, 10_000), joins=200, idle=10_000
)
QUICK: Final = Plan(rounds=2, alone_s=0.03, crowd_s=0.06, levels=(1, 10, 100), joins=10, idle=100)
