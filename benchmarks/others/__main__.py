"""What becomes of agents that other people wrote: ``make bench-others ARGS="--agents FOLDER"``.

The folder holds agents with Rejoin's lines in them, and ``agents.toml`` (see
``benchmarks.others.agents``). Their models are those of ``benchmarks/others/stand_in``. They run in
an environment of their own, which has livekit-rejoin from its wheel; LiveKit, Redis and the worker
processes are real. With ``--before FOLDER`` the statements that Rejoin needs are counted, too.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.others import events
from benchmarks.others.agents import read_agents
from benchmarks.others.events import Act, Measured
from benchmarks.others.report import report
from benchmarks.others.statements import compare
from dev import commands
from dev.rig.programs import until
from dev.rig.stand import Stand, running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.others.agents import OtherAgent
    from dev.rig.worker import Worker

    Event = Callable[[Act], Awaitable[list[Measured]]]

STAND_IN: Final = Path(__file__).parent / "stand_in"
TOOL_S: Final = 4.0
"""How long each tool takes."""
IDLE: Final = 3
"""How many processes the stand-in has wait for jobs."""


def _jobs(worker: Worker) -> int:
    """Return how many jobs a worker has had so far."""
    return worker.last_words(10_000_000).count("received job request")


def _processes(worker: Worker) -> int:
    """Return how many processes of a worker were ready for a job so far."""
    return worker.last_words(10_000_000).count("process initialized")


def events_of(agent: OtherAgent) -> dict[str, Event]:
    """Return what can happen to this agent, by name."""
    wanted: dict[str, Event] = {"speech": events.killed_in_speech}
    if agent.greets:
        wanted["greeting"] = events.killed_in_greeting
    if agent.tool:
        wanted["tool"] = events.killed_in_tool
    if agent.transfer:
        wanted["transfer"] = events.killed_after_transfer
    if agent.dials == "human":
        wanted["consultation"] = events.killed_in_consultation
    return {**wanted, "return": events.left_and_returned}


async def perform(
    stand: Stand, name: str, agent: OtherAgent, options: argparse.Namespace
) -> list[Measured]:
    """Run a worker of one agent, and all that is to happen to it."""
    folder = stand.folder / name
    (folder / "spoken").mkdir(parents=True)
    worker = stand.new_worker(
        module=("livekit.agents", "start", "--dev", str(options.agents / agent.file)),
        PYTHONPATH=f"{STAND_IN}{os.pathsep}{options.agents}",
        LIVEKIT_AGENT_NAME=agent.name,
        # One person says more than ten things here, and is asked for the first of them.
        REJOIN_MODEL_TURNS="50",
        OTHERS_NOTES=str(folder / "notes"),
        OTHERS_SPOKEN=str(folder / "spoken"),
        OTHERS_TOOL_S=str(TOOL_S),
        LIVEKIT_SIP_OUTBOUND_TRUNK="ST_stand_in",
        LIVEKIT_SUPERVISOR_PHONE_NUMBER="+15551234567",
        LIVEKIT_SIP_NUMBER="+15557654321",
    )
    worker.command[worker.command.index(sys.executable)] = str(options.python)
    worker.start()
    await until(lambda: _processes(worker) >= IDLE, f"{name} has processes for jobs")
    await until(lambda: "registered worker" in worker.last_words(10_000_000), f"{name} is known")
    found: list[Measured] = []
    limit = asyncio.Semaphore(options.at_once)

    async def once(event: str, run: Event, number: int) -> None:
        async with limit:
            # A kill that finds no process ready would measure how long Python takes to start.
            await until(lambda: _processes(worker) >= IDLE + _jobs(worker), "processes are ready")
            act = Act(stand, folder, name, agent, types=options.types, number=number)
            async with act.person:
                try:
                    measured = await run(act)
                except (AssertionError, TimeoutError) as error:
                    measured = [Measured(name, event, number, failed=str(error)[:300])]
                    measured[0].told = [
                        f"{note['at']:.2f} {note['kind']} {note.get('as_what') or note.get('name')}"
                        for note in act.noted("")
                    ]
            for each in measured:
                print(json.dumps(dataclasses.asdict(each)), flush=True)
            found.extend(measured)

    wanted = events_of(agent)
    await asyncio.gather(
        *(
            once(event, run, number + 1)
            for number in range(options.times)
            for event, run in wanted.items()
            if not options.events or event in options.events
        )
    )
    await worker.aclose(grace_s=0)
    return found


async def measure(folder: Path, options: argparse.Namespace) -> list[Measured]:
    """Have everything happen."""
    found = []
    async with running(folder, workers=0) as stand:
        for name, agent in read_agents(options.agents).items():
            if not options.only or name in options.only:
                found += await perform(stand, name, agent, options)
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=Path, required=True, help="the folder of the agents")
    parser.add_argument("--python", type=Path, required=True, help="of the agents' environment")
    parser.add_argument("--before", type=Path, help="the same agents without Rejoin")
    parser.add_argument("--only", nargs="*", help="these agents")
    parser.add_argument("--events", nargs="*", help="these events")
    parser.add_argument("--times", type=int, default=3, help="how often each event happens")
    parser.add_argument("--at-once", type=int, default=2, help="conversations at a time")
    parser.add_argument("--types", action="store_true", help="the person types, and does not speak")
    parser.add_argument("--keep", type=Path, help="a new folder for logs")
    options = parser.parse_args()
    options.agents = options.agents.absolute()
    statements = {
        name: compare(options.before / agent.file, options.agents / agent.file)
        for name, agent in (read_agents(options.agents).items() if options.before else ())
    }
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(options.keep or Path(folder), options))
    print(report(found, statements))
    return int(any(each.failed for each in found))


if __name__ == "__main__":
    commands.main(main)
