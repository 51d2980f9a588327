"""What the measurements come to: ratios under fixed names, and what they should be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from benchmarks.store.measured import ByLevel, Measured


class Sense(Enum):
    """Which side of an aim is good."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True)
class Aim:
    """What a ratio should be."""

    sense: Sense
    value: float

    def is_met(self, ratio: float) -> bool:
        """Compare with what was measured, not with what it is rounded to."""
        return ratio >= self.value if self.sense is Sense.AT_LEAST else ratio <= self.value

    def __str__(self) -> str:
        return f"{self.sense.value} {self.value:g}"


AIMS: Final[dict[str, Aim | None]] = {
    "append_c64_vs_pipeline": Aim(Sense.AT_LEAST, 1.5),
    "append_c64_vs_encrypted_session": Aim(Sense.AT_LEAST, 10),
    "append_c1_time_vs_pipeline": Aim(Sense.AT_MOST, 0.8),
    "join_time_vs_pipeline": Aim(Sense.AT_MOST, 0.6),
    "join_c64_time_vs_pipeline": None,
    "read_vs_encrypted_session": Aim(Sense.AT_LEAST, 3),
    "read_c1_vs_encrypted_session": None,
    "writers16_same_vs_spread": Aim(Sense.AT_LEAST, 1),
    "append_4k_work_vs_longer_turn": Aim(Sense.AT_MOST, 1.3),
    # Nothing, as far as a machine that does other things too can tell.
    "append_same_work_vs_none": Aim(Sense.AT_MOST, 1.1),
    "bytes_200b_turn": Aim(Sense.AT_MOST, 245),
    # Flat, as far as a machine that does other things too can tell.
    "time_10000_vs_1_sessions": Aim(Sense.AT_MOST, 1.1),
    "bytes_per_idle_session": None,
}


def ratios(measured: Measured) -> dict[str, float]:
    """Return the value of each name in ``AIMS``.

    ``read_vs_encrypted_session`` is of reads per second at 64 tasks, as the appends' is;
    ``read_c1_...`` compares the times of one task. Joins are compared with an append of the
    pipeline: by the time of one task, and as ``join_c64_...`` by calls per second at 64.
    """
    crowd, alone = measured.appends.crowd_per_s, measured.appends.alone_us
    joined, joined_together = measured.joins.times_us, measured.joins.crowd_per_s
    read, read_together = measured.reads.alone_us, measured.reads.crowd_per_s
    many, apart = measured.writers16
    works = measured.works
    return {
        "append_c64_vs_pipeline": crowd["ours"].median / crowd["pipeline"].median,
        "append_c64_vs_encrypted_session": crowd["ours"].median / crowd["encrypted_session"].median,
        "append_c1_time_vs_pipeline": alone["ours"].median / alone["pipeline"].median,
        "join_time_vs_pipeline": joined["turns_0"].median / joined["pipeline"].median,
        "join_c64_time_vs_pipeline": (
            joined_together["pipeline"].median / joined_together["turns_0"].median
        ),
        "read_vs_encrypted_session": (
            read_together["ours"].median / read_together["encrypted_session"].median
        ),
        "read_c1_vs_encrypted_session": read["encrypted_session"].median / read["ours"].median,
        "writers16_same_vs_spread": many["ours"].median / apart["ours"].median,
        "append_4k_work_vs_longer_turn": works.changed.median / works.longer.median,
        "append_same_work_vs_none": works.same.median / works.none.median,
        "bytes_200b_turn": measured.turns["ours"].stored,
        "time_10000_vs_1_sessions": max(
            grown(measured.growth.append_us, "ours"), grown(measured.growth.read_us, "ours")
        ),
        "bytes_per_idle_session": measured.idle.used_memory,
    }


def grown(times: ByLevel, name: str) -> float:
    """Return the time among the most sessions, as a multiple of that among the fewest."""
    by_level = times[name]
    return by_level[max(by_level)].median / by_level[min(by_level)].median
