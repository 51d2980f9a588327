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
    """Of each kind, per round; with many tasks four times as many."""
    idle: int
    """Sessions that are weighed together."""


# Short rounds, and many: the times of one task come in two kinds, half as long again from one to
# the other, that last for seconds. So all contestants meet both.
FULL: Final = Plan(
    rounds=15, alone_s=0.15, crowd_s=0.3, levels=(1, 10, 100, 1000, 10_000), joins=100, idle=10_000
)
QUICK: Final = Plan(rounds=2, alone_s=0.03, crowd_s=0.06, levels=(1, 10, 100), joins=10, idle=100)
