"""How long somebody waits for an answer after their agent died: ``make bench-takeover``.

Real LiveKit, Redis, gateway and two workers; a scripted participant in the room, with an open
microphone, as a page has. It asks a question at the moment of the kill, again whenever an agent
says hello, and waits for the first words. Each kill has a participant of its own. Writes
``benchmarks/results/takeover.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from livekit import api

from benchmarks import against
from benchmarks.resume import percentile
from dev import commands, livekit_server
from dev.paths import ROOT
from dev.rig.audit import NOTHING, Audit, audit
from dev.rig.microphones import Microphones
from dev.rig.programs import until
from dev.rig.stand import running
from dev.rig.timeline import STEPS, Killed, Steps, Timeline, lease_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dev.rig.person import Person
    from dev.rig.stand import Stand

RESULT: Final = ROOT / "benchmarks" / "results" / "takeover.json"
AIM_S: Final = {"job_kill": 1.5, "worker_kill": 5.0}
"""For the 95th percentile."""
CAUTION_S: Final = 7.0
"""A watcher acts on a lost lease only after two leases (6 s) of contact with Redis. So the other
worker is killed no sooner after one was started again; else up to 6 s come on top."""
ANSWERED_WITHIN_S: Final = 60.0
"""Who has no answer by then counts with this time, and as unanswered."""


@dataclass
class Series:
    """Kills of one kind."""

    name: str
    whole_worker: bool
    microphone: Microphones
    waited_s: list[float] = field(default_factory=list)
    steps: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    checked: Audit = NOTHING
    agents_at_end_max: int = 0
    agents_at_once_max: int = 0
    unanswered: int = 0

    def note(self, waited_s: float, steps: Steps) -> None:
        """Note one kill."""
        self.waited_s.append(waited_s)
        for name, took_s in steps.items():
            self.steps[name].append(took_s)

    def at(self, percent: int) -> float:
        """Return a percentile of the waiting time in seconds."""
        return round(percentile(self.waited_s, percent), 3)

    def summary(self) -> dict[str, Any]:
        """Return its figures, and where the time goes, in seconds."""
        return {
            "kills": len(self.waited_s),
            "p50_s": self.at(50),
            "p95_s": self.at(95),
            "most_s": round(max(self.waited_s), 3),
            "unanswered": self.unanswered,
            "agents_at_once_max": self.agents_at_once_max,
            "steps_s": {
                step: {
                    "p50": round(percentile(self.steps[step], 50), 3),
                    "p95": round(percentile(self.steps[step], 95), 3),
                }
                for step in STEPS
                if len(self.steps[step]) > 1
            },
        }


async def run(stand: Stand, timeline: Timeline, series: Series, chance: random.Random) -> None:
    """Have one conversation, kill its agent, wait for the answer, and look at what is left."""
    async with stand.person(microphone=series.microphone) as person:
        await person.come()
        await person.ask("my name is Maria")
        async with stand.watch(person) as room:
            if chance.random() < 0.5:  # noqa: PLR2004 (every other kill is in mid-sentence)
                begun = time.monotonic()
                person.type("what can you do?")
                await person.first_words(begun)
            # At any moment between two renewals of the lease.
            await asyncio.sleep(chance.random())
            await _kill(stand, timeline, series, person)
            at_end = len(await stand.agents_with(person))
        series.agents_at_end_max = max(series.agents_at_end_max, at_end)
        series.agents_at_once_max = max(series.agents_at_once_max, room.most)
        series.checked += audit(person, await stand.recorded(person))
    await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
    await _until_both_are_ready(stand)


async def _kill(stand: Stand, timeline: Timeline, series: Series, person: Person) -> None:
    job = stand.job_of(person)
    agent = person.agent or ""
    at = job.worker.kill() if series.whole_worker else job.kill()
    question = person.type("what is my name?")
    killed = Killed(at, agent, lease_until(stand, person), series.whole_worker)
    try:
        words = await person.first_words(at, not_from=agent, within_s=ANSWERED_WITHIN_S)
    except AssertionError:
        series.unanswered += 1
        series.note(ANSWERED_WITHIN_S, {})
    else:
        series.note(words.at - at, timeline.steps(stand, person, killed, words.at))
        await person.answer(question)
    if series.whole_worker:
        job.worker.start()
        await job.worker.ready()
        await asyncio.sleep(CAUTION_S)


async def _until_both_are_ready(stand: Stand) -> None:
    """Wait until each worker has a process for the next job again, and is idle."""
    for worker in stand.workers:
        await until(worker.has_idle_process, f"{worker} is ready again")
    await asyncio.sleep(0.5)


async def measure(folder: Path, all_series: list[Series], kills: int, seed: int) -> None:
    """Run every series on one set of servers."""
    chance = random.Random(seed)  # noqa: S311 (moments of kills are no secret)
    async with running(folder) as stand, Timeline(stand.store) as timeline:
        for series in all_series:
            for number in range(kills if series.name in AIM_S else kills // 2):
                await run(stand, timeline, series, chance)
                print(f"{series.name:24} {number + 1:3} {series.waited_s[-1]:8.3f} s", flush=True)


def report(all_series: list[Series]) -> None:
    """Print the figures as a table."""
    print(f"\n{'':24}{'p50':>9}{'p95':>9}{'aim':>9}   seconds from the kill to the first words")
    for series in all_series:
        aim = AIM_S.get(series.name, "")
        print(f"{series.name:24}{series.at(50):9.3f}{series.at(95):9.3f}{aim:>9}")
    for series in all_series:
        print(f"\n{series.name}: where the time goes")
        for step, figures in series.summary()["steps_s"].items():
            print(f"  {step:22}{figures['p50']:9.3f}{figures['p95']:9.3f}   {STEPS[step]}")


def result(all_series: list[Series]) -> dict[str, Any]:
    """Return what is written."""
    checked = sum((series.checked for series in all_series), NOTHING)
    main_ones = [series for series in all_series if series.name in AIM_S]
    return {
        **{
            f"{series.name}_p{percent}_s": series.at(percent)
            for series in main_ones
            for percent in (50, 95)
        },
        "turns_acknowledged": checked.acknowledged,
        "turns_lost": checked.lost,
        "turns_doubled": checked.doubled,
        "agents_at_end_max": max(series.agents_at_end_max for series in all_series),
        "aims_p95_s": AIM_S,
        "price_of_caution_s": {
            "every worker kill": "its lease, of 3 s, must have run out: 2 to 3 s of the time",
            "all watchers just started": "up to 6 s more: two leases of contact with Redis",
        },
        "series": {series.name: series.summary() for series in all_series},
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": {
            "livekit-server": livekit_server.VERSION,
            "livekit-agents": version("livekit-agents"),
            "livekit": version("livekit"),
            "python": platform.python_version(),
        },
    }


def figures(result: Mapping[str, Any]) -> against.Figures:
    """Return what is compared between versions."""
    return {name: against.Figure(series["p50_s"]) for name, series in result["series"].items()}


def main() -> int:
    """Measure, print and write; or compare. Return 1 if this version is slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=20, help="of each kind; half without a microphone"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--only", help="one series, and nothing is written")
    against.add_options(parser, turns=3)
    options = parser.parse_args()
    if options.against is not None:
        command = ["benchmarks.takeover", f"--kills={options.kills}", f"--seed={options.seed}"]
        result_file = RESULT.relative_to(ROOT)
        return not against.compare(
            command, result_file, figures, older=options.against, turns=options.turns
        )
    all_series = [
        Series("job_kill", whole_worker=False, microphone=Microphones.OPEN),
        Series("worker_kill", whole_worker=True, microphone=Microphones.OPEN),
        Series("job_kill_no_microphone", whole_worker=False, microphone=Microphones.NONE),
        Series("worker_kill_no_microphone", whole_worker=True, microphone=Microphones.NONE),
    ]
    if options.only:
        all_series = [series for series in all_series if series.name == options.only]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), all_series, options.kills, options.seed))
    report(all_series)
    measured = result(all_series)
    print(json.dumps({name: measured[name] for name in list(measured)[:8]}, indent=2))
    if not options.only:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    commands.main(main)
