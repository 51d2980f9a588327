"""How fast: appending, reading, joining, many writers."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.store import server
from benchmarks.store.contestants import KEPT_TURNS, READ_TURNS, DataMissing
from benchmarks.store.measured import Appends, Joins, Reads, Works, Writers16
from benchmarks.store.plan import CONTESTANTS
from benchmarks.store.stage import at_most, names
from benchmarks.store.timing import TEXTS, Writer, by_turns, median_us, per_second

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from benchmarks.store.contestants import Contestant, Read
    from benchmarks.store.ours import Idle, Ours, Work
    from benchmarks.store.stage import Stage
    from benchmarks.store.timing import Measure

TASKS: Final = 64
WRITERS: Final = 16
WORK_BYTES: Final = 4096
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
                name: partial(per_second, _writes(crowd), stage.plan.crowd_s)
                for name, crowd in crowds.items()
            },
            stage.plan.rounds,
        )
        for crowd in crowds.values():
            for writer in crowd:
                await writer.check()
    return Appends(alone, together)


async def reads(stage: Stage) -> Reads:
    """Read the last 10 turns of 100: one task, on some sessions in turn, then 64 on one each."""
    async with AsyncExitStack() as stack:
        crowds: dict[str, list[Read]] = {}
        for name in CONTESTANTS:
            contestant = await stack.enter_async_context(
                stage.contestant(name, stage.databases.fresh())
            )
            for session in names(TASKS):
                await contestant.fill(session, TEXTS[:KEPT_TURNS])
            crowds[name] = await readers(contestant, names(TASKS))
        alone = await by_turns(
            {
                name: partial(
                    median_us, itertools.cycle(crowd[:_READ_SESSIONS]), stage.plan.alone_s
                )
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
    return Reads(alone, together)


async def readers(contestant: Contestant, sessions: Sequence[str]) -> list[Read]:
    """Return what reads these sessions, which were filled with the first 100 texts."""
    made = [await contestant.reader(session) for session in sessions]
    for read in made:
        if tuple(await read()) != TEXTS[KEPT_TURNS - READ_TURNS : KEPT_TURNS]:
            raise DataMissing(contestant.name)
    return made


async def joins(stage: Stage) -> Joins:
    """Join sessions that another process has left; each once, its data key not yet known."""
    kinds = {"turns_0": (0, True), "turns_100": (KEPT_TURNS, True), "turns_0_unnamed": (0, False)}
    alone, together = stage.plan.joins, 4 * stage.plan.joins
    rounds = 1 + stage.plan.rounds
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
            count = 1 + rounds * alone
            left = [await before.idle(f"{kind}-{name}", TEXTS[:turns]) for name in names(count)]
            calls_before = await server.script_calls(database)
            if await ours.rejoin(left.pop(), named=named) != turns:
                raise DataMissing(ours.name)
            calls[kind] = await server.script_calls(database) - calls_before
            measures[kind] = partial(_joining, ours, iter(left), alone, named=named)
        measures["ping"] = partial(median_us, itertools.repeat(ours.ping), stage.plan.alone_s)
        writers = [Writer(floor, name, await floor.writer(name)) for name in names(TASKS)]
        measures["pipeline"] = partial(
            median_us, itertools.repeat(writers[0].write), stage.plan.alone_s
        )
        times = await by_turns(measures, stage.plan.rounds)
        left = await at_most(
            TASKS, [before.idle(f"together-{name}") for name in names(rounds * together)]
        )
        crowds = await by_turns(
            {
                "turns_0": partial(_joining_together, ours, iter(left), together),
                "pipeline": partial(per_second, _writes(writers), stage.plan.crowd_s),
            },
            stage.plan.rounds,
        )
        for writer in writers:
            await writer.check()
    return Joins(times, crowds, calls)


async def works(stage: Stage) -> Works:
    """Record turns with what a program works on, and without."""
    kinds: dict[str, Callable[[int], tuple[str, bytes | None]]] = {
        "none": lambda n: (TEXTS[n % len(TEXTS)], None),
        # Made anew each time, as a program does that writes its state as JSON.
        "same": lambda n: (TEXTS[n % len(TEXTS)], _work(0)),
        "changed": lambda n: (TEXTS[n % len(TEXTS)], _work(n)),
        "longer": lambda n: (TEXTS[n % len(TEXTS)] + _work(n).decode(), None),
    }
    async with stage.ours(stage.databases.fresh()) as ours:
        measures: dict[str, Measure] = {}
        for kind, made in kinds.items():
            append, numbers = await ours.worker(kind), itertools.count()
            write = partial(_record, append, made, numbers)
            measures[kind] = partial(median_us, itertools.repeat(write), stage.plan.alone_s)
        found = await by_turns(measures, stage.plan.rounds)
        kept = [len(await ours.worked_on(kind) or b"") for kind in kinds]
    if kept != [0, WORK_BYTES, WORK_BYTES, 0]:
        raise DataMissing(ours.name)
    return Works(**found)


async def _record(
    append: Work, made: Callable[[int], tuple[str, bytes | None]], numbers: Iterator[int]
) -> None:
    await append(*made(next(numbers)))


def _work(number: int) -> bytes:
    return f"{number:016d}".encode() * (WORK_BYTES // 16)


async def _joining(ours: Ours, left: Iterator[Idle], count: int, *, named: bool) -> float:
    times = []
    for idle in itertools.islice(left, count):
        started = time.perf_counter()
        await ours.rejoin(idle, named=named)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


async def _joining_together(ours: Ours, left: Iterator[Idle], count: int) -> float:
    mine = itertools.islice(left, count)

    async def join() -> None:
        for idle in mine:
            await ours.rejoin(idle, named=True)

    started = time.perf_counter()
    await asyncio.gather(*[join() for _ in range(TASKS)])
    return count / (time.perf_counter() - started)


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
                (kind, name): partial(per_second, _writes(writers[name]), stage.plan.crowd_s)
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


def _writes(writers: Sequence[Writer]) -> list[Callable[[], Awaitable[object]]]:
    return [writer.write for writer in writers]
