"""Whether an operation costs the same among 1 and among 10 000 sessions."""

from __future__ import annotations

import itertools
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.store.contestants import KEPT_TURNS
from benchmarks.store.measured import Growth
from benchmarks.store.plan import CONTESTANTS
from benchmarks.store.speed import readers
from benchmarks.store.stage import at_most, names
from benchmarks.store.timing import TEXTS, Writer, by_turns, median_us

if TYPE_CHECKING:
    from benchmarks.store.contestants import Contestant
    from benchmarks.store.measured import ByLevel
    from benchmarks.store.stage import Stage
    from benchmarks.store.timing import Measure, Series

_AT_A_TIME: Final = 16
_SCATTERED: Final = 50
"""Sessions among the most that are read in turn, to see what that costs."""


async def growth(stage: Stage) -> Growth:
    """Time appends and reads; each number of sessions has a database of its own.

    So the numbers are compared at the same moment, and not what the machine did meanwhile. One
    session among all of them is written to and read: their number is all that differs. Reading many
    in turn is measured beside it.
    """
    slice_s = stage.plan.alone_s / 2
    writing: dict[tuple[str, int], Measure] = {}
    reads: dict[tuple[str, int], Measure] = {}
    scattered: dict[str, Measure] = {}
    writers: list[Writer] = []
    async with AsyncExitStack() as stack:
        for name, level in itertools.product(CONTESTANTS, stage.plan.levels):
            contestant = await stack.enter_async_context(
                stage.contestant(name, stage.databases.fresh())
            )
            sample = await _populate(contestant, level)
            reading = await readers(contestant, sample)
            reads[name, level] = partial(median_us, itertools.repeat(reading[0]), slice_s)
            if level == max(stage.plan.levels):
                scattered[name] = partial(median_us, itertools.cycle(reading), slice_s)
            append = await contestant.writer(sample[0])
            writer = Writer(contestant, sample[0], append, before=KEPT_TURNS)
            writers.append(writer)
            writing[name, level] = partial(median_us, itertools.repeat(writer.write), slice_s)
        found = await by_turns({**reads, **scattered}, stage.plan.rounds)
        append_us = await by_turns(writing, stage.plan.rounds)
        for writer in writers:
            await writer.check()
    return Growth(
        _by_level(append_us),
        _by_level({key: found[key] for key in reads}),
        {name: found[name] for name in scattered},
    )


async def _populate(contestant: Contestant, level: int) -> list[str]:
    """Make so many sessions; return some of them, which have 100 turns, while others have one."""
    everyone = names(level)
    sample = everyone[:: max(1, level // _SCATTERED)]
    others = sorted(set(everyone) - set(sample))
    await at_most(_AT_A_TIME, [contestant.fill(each, TEXTS[:KEPT_TURNS]) for each in sample])
    await at_most(_AT_A_TIME, [contestant.fill(each, TEXTS[:1]) for each in others])
    return sample


def _by_level(found: dict[tuple[str, int], Series]) -> ByLevel:
    ordered: ByLevel = {}
    for (name, level), series in found.items():
        ordered.setdefault(name, {})[level] = series
    return ordered
