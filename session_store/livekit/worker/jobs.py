"""The jobs of this worker: which of them have ended since the last look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.backends.values import SessionRef
from session_store.livekit.job.participant import JobMetadata
from session_store.livekit.rooms.rooms import Dispatch
from session_store.livekit.worker.dead_jobs import DeadJob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from livekit.agents.job import RunningJobInfo

    from session_store.store import SessionStore


class Jobs:
    """Compares what runs with what ran before."""

    def __init__(self) -> None:
        self._running: dict[str, RunningJobInfo] = {}

    def ended(self, active: Iterable[RunningJobInfo]) -> list[RunningJobInfo]:
        """Note what runs; return what did not any more, and ran at the last look."""
        before = self._running
        # The console's jobs have no room that anybody else could be sent to.
        self._running = {info.job.id: info for info in active if not info.fake_job}
        return [info for job_id, info in before.items() if job_id not in self._running]


def dead_job(store: SessionStore, info: RunningJobInfo) -> DeadJob:
    """Describe a job that has ended, as those need it who look for a successor."""
    job = info.job
    ours = JobMetadata.parse(job.metadata)
    return DeadJob(
        owner=store.owner_of(info.worker_id, job.id),
        agent=info.accept_arguments.identity,
        dispatch=Dispatch(job.room.name, job.agent_name, job.metadata),
        dispatch_id=job.dispatch_id,
        session=SessionRef(ours.participant, ours.session_id) if ours else None,
    )
