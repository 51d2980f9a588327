"""How it is timed: whole awaited calls, in rounds, the contestants by turns."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence

    from benchmarks.store.contestants import Append, Contestant

    Measure: TypeAlias = Callable[[], Awaitable[float]]
    """Measures for a moment, and returns one number."""

Name = TypeVar("Name", bound="Hashable")

TEXT_BYTES: Final = 200
_WORDS: Final = (
    "a after again all also and any are as at back before but by call can come could day do even "
    "first for from get give go good have here how if in into it just know last like look make me "
    "more much new no not now of on one only or other our out over people say see so some take "
    "than that the their them then there these they think this time to two up use want way we well "
    "what when which who will with work would year you your"
)


def _made(count: int) -> tuple[str, ...]:
    chance = random.Random(0)  # noqa: S311 - nothing secret
    words = _WORDS.split()
    return tuple(" ".join(chance.choices(words, k=TEXT_BYTES))[:TEXT_BYTES] for _ in range(count))


TEXTS: Final = _made(1000)
"""200 bytes each, of frequent English words; all different, and the same in every run."""


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured in each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round: a moment in which the machine was busy does not count."""
        return statistics.median(self.rounds)


class Writer:
    """Appends to one session, and counts what was acknowledged."""

    def __init__(
        self, contestant: Contestant, session: str, append: Append, *, before: int = 0
    ) -> None:
        """Begin; the session has ``before`` turns already."""
        self._contestant = contestant
        self._session = session
        self._append = append
        self._before = before
        self._texts = itertools.cycle(TEXTS)
        self._last: str | None = None
        self.acknowledged = 0

    async def write(self) -> None:
        """Append one turn."""
        text = next(self._texts)
        await self._append(text)
        self.acknowledged += 1
        self._last = text

    async def check(self, *, tasks: int = 1) -> None:
        """Make sure that all of it is in Redis; with several tasks, whoever was the last.

        Raises:
            DataMissing: it is not.
        """
        last = self._last if tasks == 1 else None
        await self._contestant.check(self._session, self._before + self.acknowledged, last)


async def median_us(calls: Iterable[Callable[[], Awaitable[object]]], slice_s: float) -> float:
    """Call one after another, for so long; return the median time of a call in microseconds."""
    times = []
    now = time.perf_counter()
    end = now + slice_s
    for call in calls:
        started = time.perf_counter()
        await call()
        now = time.perf_counter()
        times.append(now - started)
        if now >= end:
            break
    return statistics.median(times) * 1e6


async def per_second(calls: Sequence[Callable[[], Awaitable[object]]], slice_s: float) -> float:
    """Let a task for each call make it again and again; return the calls per second of all."""
    started = time.perf_counter()
    end = started + slice_s

    async def repeat(call: Callable[[], Awaitable[object]]) -> int:
        count = 0
        while time.perf_counter() < end:
            await call()
            count += 1
        return count

    counts = await asyncio.gather(*map(repeat, calls))
    return sum(counts) / (time.perf_counter() - started)


async def by_turns(measures: Mapping[Name, Measure], rounds: int) -> dict[Name, Series]:
    """Measure A B C A B C ..., so that a busy moment hits all; a round before is thrown away."""
    found: dict[Name, list[float]] = {name: [] for name in measures}
    for _ in range(1 + rounds):
        for name, measure in measures.items():
            found[name].append(await measure())
    return {name: Series(tuple(values[1:])) for name, values in found.items()}
