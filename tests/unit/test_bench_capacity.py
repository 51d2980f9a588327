"""What the capacity benchmark makes of its numbers; measuring itself is `make bench-capacity`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.capacity.derived import Measured, as_json, fits
from benchmarks.capacity.gateway import GatewayCost
from benchmarks.capacity.processes import memory_mib, spent
from benchmarks.capacity.redis import RedisCost
from benchmarks.capacity.report import BEGIN, END, as_markdown, put_into
from benchmarks.capacity.workers import WorkerCost

WORKER = WorkerCost(
    idle_mib=300,
    warm_process_mib=100,
    job_mib=128,
    warm_process_s=1,
    begin_s=1,
    idle_minute_s=3,
    quiet_minute_s=6,
    mute_minute_s=3,
    spoken_minute_s=11.5,
    typed_turn_s=0.1,
    main_minute_s=0.5,
    livekit_quiet_minute_s=0.5,
    livekit_busy_minute_s=1,
    redis_idle_minute_s=0.4,
    scripts_quiet_per_s=1,
    scripts_busy_per_s=3,
)
KINDS = ("hosted", "demo", "livekit_alone")
MEASURED = Measured(
    workers=dict.fromkeys(KINDS, WORKER),
    gateway=GatewayCost(new_ms=5, again_ms=2),
    redis=RedisCost(
        renew_us=30, draft_us=30, append_us=60, visit_us=400, session_bytes=1_000, turn_bytes=250
    ),
)
WHERE = {
    "date": "2026-01-02",
    "machine": {"cores": 2},
    "versions": {"livekit-agents": "1.8.9", "python": "3.11.7"},
}


def test_what_fits_follows_from_what_one_takes() -> None:
    """A minute of talk that takes 12 s of a core, main process included, fits five times."""
    found = fits(MEASURED)
    assert found["workers"]["demo"] == {
        "busy_conversations_per_core": 5.0,
        "quiet_conversations_per_core": 9.2,
        "conversations_per_gib": 8.0,
    }
    assert found["gateway"] == {"tokens_per_core_second": 500}


def test_redis_is_counted_by_its_calls() -> None:
    """A busy conversation renews once a second, appends two turns each 6 s, and drafts else."""
    found = fits(MEASURED)["redis"]
    assert found["busy_conversation_us_per_s"] == round(30 + 60 / 3 + 30 * (3 - 1 - 1 / 3))
    assert found["sessions_of_20_turns_per_gib"] == round(2**30 / (1_000 + 20 * 250))


def test_a_main_process_that_took_less_is_noise_and_makes_no_room() -> None:
    """What was measured below nothing counts as nothing."""
    quicker = replace(WORKER, main_minute_s=-1.0, spoken_minute_s=12.0)
    measured = Measured({"demo": quicker}, MEASURED.gateway, MEASURED.redis)
    assert fits(measured)["workers"]["demo"]["busy_conversations_per_core"] == 5.0


def test_the_tables_take_the_place_of_those_before() -> None:
    """Writing them twice leaves one of each, and the text around them as it was."""
    tables = as_markdown({**as_json(MEASURED), **WHERE})
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_into(page, tables)
    assert once == f"before\n{BEGIN}\n\n{tables}\n\n{END}\nafter\n"
    assert put_into(once, tables) == once


async def test_the_time_of_a_core_is_what_counts() -> None:
    """Work takes time of the processor; waiting does not."""

    async def work() -> None:
        while os.times().user < until:
            await asyncio.sleep(0)

    until = os.times().user + 0.2
    worked = await spent({"this": [os.getpid()]}, work())
    waited = await spent({"this": [os.getpid()]}, asyncio.sleep(0.01))
    assert worked.cpu_s["this"] >= 0.15
    assert waited.cpu_s["this"] < worked.cpu_s["this"]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux only")
def test_memory_is_told_in_mebibytes() -> None:
    """A Python process with this suite in it takes some, and not all of the machine."""
    assert 5 < memory_mib([os.getpid()]) < 10_000
