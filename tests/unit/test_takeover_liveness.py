"""What a job does about pings and its connection, and what a worker sees of its jobs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.protocol import agent, models

import session_store.livekit
from session_store.livekit.job.liveness import CUT_S, Liveness
from session_store.livekit.rooms.pings import COMING, HERE, PING
from session_store.livekit.worker.dead_jobs import RunningJobs
from tests.unit.virtual_time import in_virtual_time


class Room(rtc.EventEmitter[Any]):
    """A room with what liveness uses of one."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: dict[str, Any] = {}
        self.local_participant = SimpleNamespace(
            register_rpc_method=self.methods.__setitem__,
            unregister_rpc_method=self.methods.__delitem__,
        )


def test_pings_are_answered_from_start_to_stop() -> None:
    """A job on its way says so; before that, and when it leaves, it does not answer."""

    async def scene() -> None:
        room = Room()
        connected: Any = room
        liveness = Liveness(connected, lambda: None)
        assert room.methods == {}
        liveness.start()
        liveness.start()
        assert await room.methods[PING](None) == COMING
        liveness.here()
        assert await room.methods[PING](None) == HERE
        liveness.stop()
        liveness.stop()
        assert room.methods == {}

    in_virtual_time(scene())


@pytest.mark.parametrize(
    ("back_after_s", "back", "cuts"),
    [
        (CUT_S - 0.1, "reconnected", 0),
        (CUT_S + 0.1, "reconnected", 1),
        (CUT_S - 0.1, "disconnected", 0),
    ],
)
def test_a_job_is_cut_off_after_a_while(back_after_s: float, back: str, cuts: int) -> None:
    """A restart of LiveKit is none; nor is being removed, which ends the job anyway."""

    async def scene() -> None:
        room, seen = Room(), []
        connected: Any = room
        liveness = Liveness(connected, lambda: seen.append("cut"))
        liveness.start()
        room.emit("reconnecting")
        await asyncio.sleep(back_after_s)
        room.emit(back)
        await asyncio.sleep(2 * CUT_S)
        assert len(seen) == cuts
        room.emit("reconnecting")
        liveness.stop()
        await asyncio.sleep(2 * CUT_S)
        assert len(seen) == cuts

    in_virtual_time(scene())


def running(job_id: str, *, fake: bool = False) -> RunningJobInfo:
    """Make a job."""
    return RunningJobInfo(
        accept_arguments=JobAcceptArguments(name="", identity="", metadata=""),
        job=agent.Job(id=job_id, room=models.Room(name="room")),
        url="",
        token="",
        worker_id="worker",
        fake_job=fake,
    )


def test_jobs_that_run_no_more_are_seen_once() -> None:
    """Who was there at the last look and is not now has ended; the console's do not count."""
    jobs = RunningJobs()
    one, two, console = running("1"), running("2"), running("3", fake=True)
    assert jobs.ended([one, console]) == []
    assert jobs.ended([one, two]) == []
    assert jobs.ended([two]) == [one]
    assert jobs.ended([two]) == []
    assert jobs.ended([]) == [two]


def test_the_gateway_does_not_load_livekit_agents() -> None:
    """It has to do with rooms alone, and starts in half the time without."""
    program = "import sys, gateway.app; print('livekit.agents' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_the_binding_has_what_it_names() -> None:
    """Each public name is loaded at its first use; another is an error like any other."""
    for name in session_store.livekit.__all__:
        assert getattr(session_store.livekit, name).__name__ == name
    assert dir(session_store.livekit) == sorted(session_store.livekit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = session_store.livekit.nothing
