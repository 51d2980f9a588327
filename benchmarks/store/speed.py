"""How fast: appending, reading, joining, many writers."""

from __future__ import annotations

import itertools
import statistics
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.store import server
from benchmarks.store.contestants import KEPT_TURNS, READ_TURNS, DataMissing
from benchmarks.store.measured import Appends, Joins, Writers16
from benchmarks.store.plan import CONTESTANTS
from benchmarks.store.stage import names
from benchmarks.store.timing import TEXTS, Writer, by_turns, median_us, per_second

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.store.contestants import Contestant
    from benchmarks.store.ours import Idle, Ours
    from benchmarks.store.stage import Stage
    from benchmarks.store.timing import Measure, Series

TASKS: Final = 64
WRITERS: Final = 16
_READ_SESSIONS: Final = 10


async def appends(stage: Stage) -> Appends:
    """One task alone, then 64 with a session each."""
    async with AsyncExitStack() as stack:
        crowds: dict[str, list[Writer]] = {}
        for name in CONTESTANTS:
            contestant = await stack.enter_async_context(
                stage.contestant(name, stage.databases.fresh())
            )
            crowds[name] = [
                Writer(contestant, session, await contestant.writer(session))
                for session in names(TASKS)
            ]
        alone = await by_turns(
            {
                name: partial(median_us, itertools.repeat(crowd[0].write), stage.plan.alone_s)
                for name, crowd in crowds.items()
            },
            stage.plan.rounds,
        )
        together = await by_turns(
            {
                name: partial(per_second, crowd, stage.plan.crowd_s)
                for name, crowd in crowds.items()
            },
            stage.plan.rounds,
        )
        for crowd in crowds.values():
            for writer in crowd:
                await writer.check()
    return Appends(alone, together)


async def reads(stage: Stage) -> dict[str, Series]:
    """Return the times of reading the last 10 turns of 100, in microseconds."""
    async with AsyncExitStack() as stack:
        measures = {}
        for name in CONTESTANTS:
            contestant = await stack.enter_async_context(
                stage.contestant(name, stage.databases.fresh())
            )
            for session in names(_READ_SESSIONS):
                await contestant.fill(session, TEXTS[:KEPT_TURNS])
            measures[name] = await reading(contestant, names(_READ_SESSIONS), stage.plan.alone_s)
        return await by_turns(measures, stage.plan.rounds)


async def reading(contestant: Contestant, sessions: Sequence[str], slice_s: float) -> Measure:
    """Return the measure of reading sessions that were filled with the first 100 texts."""
    readers = [await contestant.reader(session) for session in sessions]
    for reader in readers:
        if tuple(await reader()) != TEXTS[KEPT_TURNS - READ_TURNS : KEPT_TURNS]:
            raise DataMissing(contestant.name)
    return partial(median_us, itertools.cycle(readers), slice_s)


async def joins(stage: Stage) -> Joins:
    """Join sessions that another process has left; each once, its data key not yet known."""
    kinds = {"turns_0": (0, True), "turns_100": (KEPT_TURNS, True), "turns_0_unnamed": (0, False)}
    count = stage.plan.joins * (1 + stage.plan.rounds)
    database = stage.databases.fresh()
    async with (
        stage.ours(database) as before,
        stage.ours(database) as ours,
        stage.contestant("pipeline", stage.databases.fresh()) as floor,
    ):
        # Connected, and the script known to Redis.
        await ours.rejoin(await before.idle("first"), named=True)
        calls: dict[str, int] = {}
        measures: dict[str, Measure] = {}
        for kind, (turns, named) in kinds.items():
            left = [await before.idle(f"{kind}-{name}", TEXTS[:turns]) for name in names(count + 1)]
            calls_before = await server.script_calls(database)
            if await ours.rejoin(left.pop(), named=named) != turns:
                raise DataMissing(ours.name)
            calls[kind] = await server.script_calls(database) - calls_before
            measures[kind] = partial(_joining, ours, iter(left), stage.plan.joins, named=named)
        writer = Writer(floor, "floor", await floor.writer("floor"))
        measures["pipeline"] = partial(
            median_us, itertools.repeat(writer.write), stage.plan.alone_s
        )
        times = await by_turns(measures, stage.plan.rounds)
        await writer.check()
    return Joins(times, calls)


async def _joining(ours: Ours, left: Iterator[Idle], count: int, *, named: bool) -> float:
    times = []
    for idle in itertools.islice(left, count):
        started = time.perf_counter()
        await ours.rejoin(idle, named=named)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


async def writers16(stage: Stage) -> Writers16:
    """16 tasks on one session, and on one each; ours through recorders."""
    same: dict[str, list[Writer]] = {}
    spread: dict[str, list[Writer]] = {}
    async with AsyncExitStack() as stack:
        for name in CONTESTANTS:
            contestant = await stack.enter_async_context(
                stage.contestant(name, stage.databases.fresh())
            )
            shared = Writer(contestant, "same", await contestant.shared_writer("same"))
            same[name] = [shared] * WRITERS
            spread[name] = [
                Writer(contestant, session, await contestant.shared_writer(session))
                for session in names(WRITERS)
            ]
        found = await by_turns(
            {
                (kind, name): partial(per_second, writers[name], stage.plan.crowd_s)
                for name in CONTESTANTS
                for kind, writers in (("same", same), ("spread", spread))
            },
            stage.plan.rounds,
        )
        for name in CONTESTANTS:
            await same[name][0].check(tasks=WRITERS)
            for writer in spread[name]:
                await writer.check()
    return Writers16(
        *({name: found[kind, name] for name in CONTESTANTS} for kind in ("same", "spread"))
    )
