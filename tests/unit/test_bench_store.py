"""What the store's benchmark makes of its numbers; measuring itself is `make bench-store`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from benchmarks.store.measured import (
    Appends,
    Growth,
    IdleBytes,
    Joins,
    Measured,
    Reads,
    TurnBytes,
    Works,
    Writers16,
)
from benchmarks.store.plan import CONTESTANTS, QUICK
from benchmarks.store.ratios import AIMS, ratios
from benchmarks.store.report import Circumstances, as_json, as_markdown, as_table
from benchmarks.store.timing import TEXT_BYTES, TEXTS, Series, by_turns, per_second

WHERE = Circumstances(versions={"Redis": "7.0.15"}, cores=2, date="2026-01-02", plan=QUICK)


def each(*values: float) -> dict[str, Series]:
    """Give each contestant one number, in the order of the table."""
    return {name: Series((value,)) for name, value in zip(CONTESTANTS, values, strict=True)}


def measured() -> Measured:
    """Return a run in which every aim is met."""
    flat = {name: {1: Series((100,)), 100: Series((100,))} for name in CONTESTANTS}
    joins = {"turns_0": 50, "turns_100": 90, "turns_0_unnamed": 80, "pipeline": 100, "ping": 50}
    return Measured(
        appends=Appends(each(60, 100, 500, 600), each(20_000, 10_000, 1_800, 1_600)),
        reads=Reads(each(150, 60, 200, 300), each(12_000, 20_000, 8_000, 3_000)),
        joins=Joins(
            {name: Series((time,)) for name, time in joins.items()},
            {"turns_0": Series((9_000,)), "pipeline": Series((10_000,))},
            {"turns_0": 1, "turns_100": 1, "turns_0_unnamed": 2},
        ),
        writers16=Writers16(each(12_000, 9_000, 900, 800), each(10_000, 9_000, 1_800, 1_600)),
        works=Works(*(Series((time,)) for time in (100, 105, 120, 110))),
        turns={name: TurnBytes(240, 250) for name in CONTESTANTS},
        idle=IdleBytes(1_200, 1_100),
        growth=Growth(flat, flat, each(110, 110, 110, 110)),
    )


def test_the_ratios_have_the_names_that_were_agreed() -> None:
    """The ratios are at the top of store.json, and the numbers below."""
    written = as_json(measured(), WHERE)
    assert list(written) == [
        "append_c64_vs_pipeline",
        "append_c64_vs_encrypted_session",
        "append_c1_time_vs_pipeline",
        "join_time_vs_pipeline",
        "join_c64_time_vs_pipeline",
        "read_vs_encrypted_session",
        "read_c1_vs_encrypted_session",
        "writers16_same_vs_spread",
        "append_4k_work_vs_longer_turn",
        "append_same_work_vs_none",
        "bytes_200b_turn",
        "time_10000_vs_1_sessions",
        "bytes_per_idle_session",
        "measured",
    ]
    assert written["append_c64_vs_pipeline"] == 2
    assert written["append_c64_vs_encrypted_session"] == 12.5
    assert written["append_c1_time_vs_pipeline"] == 0.6
    assert written["join_time_vs_pipeline"] == 0.5
    assert written["join_c64_time_vs_pipeline"] == 1.111
    assert written["read_vs_encrypted_session"] == 4
    assert written["read_c1_vs_encrypted_session"] == 2
    assert written["append_4k_work_vs_longer_turn"] == 1.091
    assert written["append_same_work_vs_none"] == 1.05
    assert written["writers16_same_vs_spread"] == 1.2
    assert written["measured"]["append_c64_per_s"]["ours"] == {"median": 20_000, "rounds": [20_000]}


def test_an_aim_that_is_missed_by_a_hair_is_missed() -> None:
    """The number is compared, not what the table rounds it to."""
    found = measured()
    assert "**no**" not in as_table(found)
    slower = replace(
        found, appends=Appends(found.appends.alone_us, each(14_999, 10_000, 1_000, 1_000))
    )
    [row] = [line for line in as_table(slower).splitlines() if "**no**" in line]
    assert (
        row
        == "| append, 64 tasks, turns/s | 14 999 | 10 000 | 1 000 | 1 000 | 1.50 | ≥ 1.5 | **no** |"
    )


def test_growth_is_that_of_the_operation_that_grows_more() -> None:
    """Appends that stay flat do not hide reads that do not."""
    found = measured()
    slower = {**found.growth.read_us, "ours": {1: Series((100,)), 100: Series((150,))}}
    grown = replace(found, growth=found.growth._replace(read_us=slower))
    assert ratios(grown)["time_10000_vs_1_sessions"] == 1.5
    assert as_table(grown).count("**no**") == 1


def test_a_join_of_two_round_trips_is_marked() -> None:
    """One round trip is an aim of its own, whatever the time."""
    found = measured()
    calls = {**found.joins.calls, "turns_0": 2}
    slower = replace(found, joins=found.joins._replace(calls=calls))
    assert as_table(slower).count("**no**") == 1


def test_an_aim_that_was_missed_stands_beside_what_no_call_is_below() -> None:
    """A join that takes longer than it should is named, with the time of an empty round trip."""
    found = measured()
    assert "missed" not in as_markdown(found, WHERE)
    times = {**found.joins.times_us, "turns_0": Series((250,))}
    page = as_markdown(replace(found, joins=found.joins._replace(times_us=times)), WHERE)
    assert (
        "- `join_time_vs_pipeline` is 2.50; the aim is ≤ 0.6. "
        "An empty round trip alone (PING, as our calls go) is 0.50." in page
    )


def test_the_page_says_how_reads_are_compared_and_what_the_other_way_gives() -> None:
    """A reader who takes "3 x" as the time of one task finds whether that is met, too."""
    assert "task: 2.00, by which the aim would not be met." in as_markdown(measured(), WHERE)
    faster = replace(measured(), reads=Reads(each(100, 60, 200, 300), each(4, 4, 2, 1)))
    assert "task: 3.00, by which the aim would be met." in as_markdown(faster, WHERE)


def test_the_page_says_where_it_was_measured() -> None:
    """A table without versions, cores and a date would say nothing."""
    page = as_markdown(measured(), WHERE)
    assert "2026-01-02" in page
    assert "2 cores" in page
    assert "Redis 7.0.15" in page
    assert as_table(measured()) in page


def test_all_aims_are_among_the_ratios() -> None:
    """No aim is forgotten, and no ratio is without a word on what it should be."""
    assert ratios(measured()).keys() == AIMS.keys()


def test_texts_have_200_bytes_and_differ() -> None:
    """What is appended is as large as the table says, and repetition helps no store."""
    assert {len(text.encode()) for text in TEXTS} == {TEXT_BYTES}
    assert len(set(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("rounds", [1, 3])
async def test_contestants_are_measured_by_turns(rounds: int) -> None:
    """The first round warms up, and is not counted."""
    calls: list[str] = []

    def measure(name: str) -> float:
        calls.append(name)
        return len(calls)

    async def first() -> float:
        return measure("a")

    async def second() -> float:
        return measure("b")

    found = await by_turns({"a": first, "b": second}, rounds)
    assert calls == ["a", "b"] * (1 + rounds)
    assert found["a"].rounds == tuple(float(3 + 2 * number) for number in range(rounds))


async def test_calls_of_all_tasks_are_counted() -> None:
    """The rate is that of all calls that were made, over the time that they took."""
    made = 0

    async def call() -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0)

    slice_s = 0.01
    started = time.perf_counter()
    rate = await per_second([call, call], slice_s)
    assert made / (time.perf_counter() - started) <= rate <= made / slice_s
