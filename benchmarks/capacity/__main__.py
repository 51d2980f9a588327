"""How many conversations a core and a gigabyte hold: ``make bench-capacity``.

The real worker, gateway, LiveKit and Redis, under people who talk at a steady pace. What counts is
the processor time that each process takes, and memory as Linux divides it among those who share it;
so other programs on the machine disturb it little. Writes ``benchmarks/results/capacity.json`` and
the tables of ``docs/operations.md``. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.capacity import gateway, redis, workers
from benchmarks.capacity.derived import Measured, as_json
from benchmarks.capacity.plan import FULL, QUICK
from benchmarks.capacity.provider import Provider
from benchmarks.capacity.report import as_markdown, put_into
from benchmarks.capacity.talk import TURN_EVERY_S
from dev import livekit_server
from dev.paths import ROOT
from dev.rig.stand import running

if TYPE_CHECKING:
    from benchmarks.capacity.plan import Plan

RESULT: Final = ROOT / "benchmarks" / "results" / "capacity.json"
DOCUMENT: Final = ROOT / "docs" / "operations.md"


async def measure(folder: Path, plan: Plan) -> Measured:
    """Measure everything, one part after another."""
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)

    async with running(folder, workers=0, AGENT_MAX_JOBS="50") as stand, Provider() as provider:
        say("calls to Redis")
        in_redis = await redis.measure(stand, plan.calls, plan.sessions)
        say("tokens")
        at_the_gateway = await gateway.measure(stand, plan.tokens)
        in_workers = {}
        for kind in (
            workers.Kind("hosted", provider.settings),
            workers.Kind("demo"),
            workers.Kind("livekit_alone", module=("benchmarks.capacity.plain",), is_rejoin=False),
        ):
            say(f"conversations: {kind.name}")
            in_workers[kind.name] = await workers.measure(stand, kind, plan)
        say("done")
    return Measured(in_workers, at_the_gateway, in_redis)


def result(measured: Measured, plan: Plan) -> dict[str, Any]:
    """Return what is written."""
    return {
        **as_json(measured),
        "plan": {
            "speaking": plan.speaking,
            "typing": plan.typing,
            "quiet_s": plan.quiet_s,
            "busy_s": plan.busy_s,
            "turn_every_s": TURN_EVERY_S,
        },
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "livekit-server": livekit_server.VERSION,
            "livekit-agents": version("livekit-agents"),
            "python": platform.python_version(),
        },
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="make bench-capacity", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a look at whether it works; nothing is written"
    )
    quick: bool = parser.parse_args().quick
    plan = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(Path(folder), plan))
    figures = result(measured, plan)
    tables = as_markdown(figures)
    print(tables)
    if not quick:
        RESULT.write_text(f"{json.dumps(figures, indent=2)}\n")
        DOCUMENT.write_text(put_into(DOCUMENT.read_text(), tables))


if __name__ == "__main__":
    main()
