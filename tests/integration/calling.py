"""``examples/outbound.py`` as a worker, with a stand-in for the telephone.

Each call that it dials becomes a file in the folder ``CALLS``. It is answered once the file
``answered`` is there. The attributes of each job's dispatch are noted there, too.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

from livekit.agents import AgentServer, JobContext
from livekit.api.sip_service import SipService

from examples import outbound
from examples.local import load_by_jobs
from session_store.livekit import watch_over

LOOK_EVERY_S: Final = 0.05


class Calls:
    """What is noted of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note_dialled(self, number: str) -> None:
        """Note a call that was dialled."""
        calls = len(list(self._folder.glob("dialled-*")))
        (self._folder / f"dialled-{calls + 1}").write_text(number)

    @property
    def are_answered(self) -> bool:
        """Whether somebody picks up."""
        return (self._folder / "answered").exists()

    def note_job(self, job_id: str, attributes: dict[str, str]) -> None:
        """Note a job, and what its dispatch says."""
        (self._folder / f"job-{job_id}").write_text(json.dumps(attributes))


CALLS: Final = Calls(Path(os.environ["CALLS"]))


async def dial(_: SipService, request: Any, **__: Any) -> None:
    """Note a call, and wait until it is answered."""
    CALLS.note_dialled(request.sip_call_to)
    while not CALLS.are_answered:
        await asyncio.sleep(LOOK_EVERY_S)


SipService.create_sip_participant = dial  # type: ignore[assignment,method-assign]

server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Make one call."""
    CALLS.note_job(ctx.job.id, dict(getattr(ctx.job, "attributes", {})))
    await outbound.entrypoint(ctx)
