"""What a worker takes: at rest, and for conversations that are quiet or busy."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.capacity.processes import memory_mib, spent, taken_since_start
from benchmarks.capacity.talk import Talk, come_in
from dev.rig.microphones import Microphones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.capacity.plan import Plan
    from benchmarks.capacity.processes import Spent
    from dev.rig.person import Person
    from dev.rig.stand import Stand
    from dev.rig.worker import Worker

_SETTLE_S = 4.0
"""Until the worker's own start is over."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of worker."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    module: tuple[str, ...] = ("agent",)
    is_rejoin: bool = True
    """Whether it keeps conversations, and so takes typed text as the page sends it."""


@dataclass(frozen=True, slots=True)
class WorkerCost:
    """What a worker takes. Memory is PSS in MiB; processor time is in seconds of one core."""

    idle_mib: float
    """All of its processes, one kept warm for the next conversation."""
    warm_process_mib: float
    """That one process."""
    job_mib: float
    """What each conversation adds to all processes together."""
    warm_process_s: float
    """To bring up a process for the next conversation."""
    begin_s: float
    """To begin a conversation in it and to greet."""
    idle_minute_s: float
    """A minute of all processes without a conversation."""
    quiet_minute_s: float
    """A minute of a job whose participant is silent, with an open microphone."""
    mute_minute_s: float | None
    """The same without a microphone."""
    spoken_minute_s: float
    """A minute of a job that is asked aloud, and answers, every ``TURN_EVERY_S``."""
    typed_turn_s: float | None
    """A question that is typed, and answered aloud, on top of ``mute_minute_s``."""
    main_minute_s: float
    """What a conversation adds to a minute of the main process."""
    livekit_quiet_minute_s: float
    livekit_busy_minute_s: float
    """A minute of LiveKit's server, for each conversation."""
    redis_idle_minute_s: float
    """A minute of Redis, for one worker that has no conversation."""
    scripts_quiet_per_s: float
    scripts_busy_per_s: float
    """Scripts that Redis runs for each conversation, without those of an idle worker."""


async def measure(stand: Stand, kind: Kind, plan: Plan) -> WorkerCost:
    """Start a worker of this kind, let people talk with it, and end it.

    Raises:
        AssertionError: it does not answer them.
    """
    worker = await stand.add_worker(module=kind.module, island=None, ready=True, **kind.settings)
    try:
        async with AsyncExitStack() as people:
            speaking, typing = [
                [
                    await people.enter_async_context(stand.person(microphone=microphone))
                    for _ in range(many)
                ]
                for microphone, many in (
                    (Microphones.OPEN, plan.speaking),
                    (Microphones.NONE, plan.typing if kind.is_rejoin else 0),
                )
            ]
            return await _Measurement(stand, worker, speaking, typing).run(plan)
    finally:
        await worker.aclose(grace_s=0)
        stand.workers.remove(worker)


class _Measurement:
    def __init__(
        self, stand: Stand, worker: Worker, speaking: list[Person], typing: list[Person]
    ) -> None:
        self._stand = stand
        self._worker = worker
        self._speaking = speaking
        self._typing = typing

    async def run(self, plan: Plan) -> WorkerCost:
        worker, talking = self._worker, [*self._speaking, *self._typing]
        await asyncio.sleep(_SETTLE_S)
        [warm] = worker.job_processes()
        idle_mib, warm_mib = memory_mib(worker.pids()), memory_mib([warm])
        warm_s = taken_since_start(warm)
        redis = {"redis": [redis_pid(self._stand)]}
        idle, watching = await self._with_scripts(
            {"worker": worker.pids(), "main": [worker.pid], **redis}, asyncio.sleep(plan.idle_s)
        )

        await come_in(talking)
        groups = self._groups()
        begun_s = sum(map(taken_since_start, groups["jobs"])) / len(talking) - warm_s
        quiet, quiet_scripts = await self._with_scripts(groups, asyncio.sleep(plan.quiet_s))
        talk = Talk(self._speaking, self._typing, for_s=plan.busy_s)
        busy, busy_scripts = await self._with_scripts(groups, talk.run())
        grown_mib = memory_mib(worker.pids()) - idle_mib

        many, mute = len(talking), len(self._typing)
        typed_s = busy.cpu_s["typing"] - quiet.cpu_s["typing"] * busy.wall_s / quiet.wall_s
        return WorkerCost(
            idle_mib=idle_mib,
            warm_process_mib=warm_mib,
            job_mib=grown_mib / many,
            warm_process_s=warm_s,
            begin_s=begun_s,
            idle_minute_s=idle.a_minute("worker"),
            quiet_minute_s=quiet.a_minute("speaking", len(self._speaking)),
            mute_minute_s=quiet.a_minute("typing", mute) if mute else None,
            spoken_minute_s=busy.a_minute("speaking", len(self._speaking)),
            typed_turn_s=typed_s / talk.questions_typed if mute else None,
            main_minute_s=(busy.a_minute("main") - idle.a_minute("main")) / many,
            livekit_quiet_minute_s=quiet.a_minute("livekit", many),
            livekit_busy_minute_s=busy.a_minute("livekit", many),
            redis_idle_minute_s=idle.a_minute("redis"),
            scripts_quiet_per_s=(quiet_scripts - watching) / many,
            scripts_busy_per_s=(busy_scripts - watching) / many,
        )

    def _groups(self) -> dict[str, list[int]]:
        """Return the processes that are looked at, by what they do."""
        speaking, typing = (
            [_job_of(self._worker, person.session_id) for person in people]
            for people in (self._speaking, self._typing)
        )
        return {
            "main": [self._worker.pid],
            "livekit": self._stand.livekit.pids(),
            "speaking": speaking,
            "typing": typing,
            "jobs": [*speaking, *typing],
        }

    async def _with_scripts(self, groups: dict[str, list[int]], work: Any) -> tuple[Spent, float]:
        """Run ``work``; return what processes took, and scripts that Redis ran per second."""
        before = scripts_run(self._stand)
        took = await spent(groups, work)
        return took, (scripts_run(self._stand) - before) / took.wall_s


def _job_of(worker: Worker, room: str) -> int:
    """Return the process of the job in a room. LiveKit puts both on what it logs of a job."""
    alive = set(worker.pids())
    for record in reversed(worker.records()):
        if room in (record.get("room"), record.get("session_id")) and record.get("pid") in alive:
            return int(record["pid"])
    raise AssertionError("no process has this conversation")


def redis_pid(stand: Stand) -> int:
    """Return the process of Redis."""
    with stand.redis.client() as client:
        info: Any = client.info("server")
    return int(info["process_id"])


def scripts_run(stand: Stand) -> int:
    """Return how many scripts Redis has run since it started."""
    with stand.redis.client() as client:
        stats: Any = client.info("commandstats")
    return sum(
        int(each["calls"]) for name, each in stats.items() if name.startswith("cmdstat_eval")
    )
