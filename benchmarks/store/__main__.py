"""How fast the store is, and how much it takes, beside others: ``make bench-store``.

Starts a Redis of its own. Writes ``benchmarks/results/store.md``, ``store.json`` and ``store.png``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import against
from benchmarks.store import chart, growth, report, server, speed, weight
from benchmarks.store.measured import Measured
from benchmarks.store.plan import FULL, QUICK
from benchmarks.store.stage import Stage
from dev import commands
from dev.keys import ensure_key_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.store.plan import Plan

RESULTS: Final = Path(__file__).parent.parent / "results"


async def measure(stage: Stage) -> Measured:
    """Measure everything, one part after another.

    Raises:
        DataMissing: a turn that was acknowledged is not in Redis.
    """
    began = time.monotonic()

    def say(what: str) -> None:
        # What the part before has left is not collected at the cost of this one.
        gc.collect()
        print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)

    say("bytes per turn, and per idle session")
    turns, idle = await weight.turns(stage), await weight.idle_sessions(stage)
    say("append: 1 task, then 64")
    appends = await speed.appends(stage)
    say("read: 1 task, then 64")
    reads = await speed.reads(stage)
    say("join: 1 task, then 64")
    joins = await speed.joins(stage)
    say("16 writers")
    writers16 = await speed.writers16(stage)
    say("append with what a program works on")
    works = await speed.works(stage)
    say("append and read among more and more sessions")
    grown = await growth.growth(stage)
    say("done")
    return Measured(appends, reads, joins, writers16, works, turns, idle, grown)


def write(measured: Measured, where: report.Circumstances, folder: Path) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.as_json(measured, where), indent=2)
    (folder / "store.json").write_text(f"{text}\n")
    (folder / "store.md").write_text(report.as_markdown(measured, where))
    chart.draw(measured, folder / "store.png")


def figures(result: Mapping[str, Any]) -> against.Figures:
    """Return what is compared between versions: the store's own figures, by measure."""
    measured = result["measured"]
    rates, times = against.Figures(), against.Figures()
    for name, series in measured.items():
        if name.endswith("_per_s"):
            mine = series.get("ours") or series["turns_0"]
            rates[name] = against.Figure(mine["median"], is_rate=True)
        elif name == "join_c1_us":
            for kind, join in series.items():
                if kind.startswith("turns_"):
                    times[f"{name} {kind}"] = against.Figure(join["median"])
        elif name.endswith("_us") and "median" in series.get("ours", {}):
            times[name] = against.Figure(series["ours"]["median"])
    return times | rates


def _compare(older: Path, turns: int, *, quick: bool) -> bool:
    """Compare this version with an older one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["benchmarks.store", *(["--quick"] if quick else []), "--into", folder]
        return against.compare(
            command, Path(folder, "store.json"), figures, older=older, turns=turns
        )


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print and write; or compare. Return 1 if this version is slower.

    Raises:
        DevError: there is no Redis on this machine.
    """
    parser = argparse.ArgumentParser(prog="make bench-store", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a look at whether it works; written only with --into"
    )
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write the files there")
    against.add_options(parser, turns=3)
    chosen = parser.parse_args(args)
    if chosen.against is not None:
        return not _compare(chosen.against, chosen.turns, quick=chosen.quick)
    plan: Plan = QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory() as folder, server.running_redis() as databases:
        key_file = Path(folder, "keys.json")
        ensure_key_file(key_file, data_exist=False)
        stage = Stage(databases, key_file, plan)
        measured = asyncio.run(measure(stage))
        redis_version = asyncio.run(server.version(databases.fresh()))
    where = report.Circumstances(
        versions={
            "Redis": redis_version,
            "redis-py": version("redis"),
            "hiredis": version("hiredis"),
            "Python": platform.python_version(),
            "openai-agents": version("openai-agents"),
        },
        cores=os.cpu_count() or 1,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        plan=plan,
    )
    print(report.as_table(measured))
    into: Path | None = chosen.into or (None if chosen.quick else RESULTS)
    if into is not None:
        write(measured, where, into)
        print(f"wrote store.md, store.json and store.png into {into}")
    return 0


if __name__ == "__main__":
    commands.main(main)
