"""The same pipeline on LiveKit alone, to compare with: ``python -m benchmarks.capacity.plain``.

Its conversations remember nothing. What the agent of this project takes beyond this is Rejoin.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess
from livekit.agents.__main__ import main

from agent import pipelines
from agent.settings import AgentSettings

if TYPE_CHECKING:
    from agent.pipelines import Pipeline

settings = AgentSettings()


def load(worker: AgentServer) -> float:
    """Report the load by number of jobs, as the agent does."""
    return 0.7 * len(worker.active_jobs) / settings.agent_max_jobs


def prewarm(process: JobProcess) -> None:
    """Build what is slow."""
    pipelines.prewarm(settings, process.userdata)


server = AgentServer(
    host=settings.agent_http_host,
    port=settings.agent_http_port,
    setup_fnc=prewarm,
    load_fnc=load,
    num_idle_processes=settings.agent_idle_processes,
)


@server.on("worker_registered")
def note_ready(*_: object) -> None:
    """Say that jobs can come now."""
    if settings.agent_ready_file is not None:
        settings.agent_ready_file.touch()


@server.rtc_session(agent_name=settings.livekit_agent_name)
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    pipeline: Pipeline = pipelines.build(settings, ctx.proc.userdata, "en")
    session: AgentSession[Any] = AgentSession(**pipeline.session_options())
    await session.start(agent=Agent(instructions="Be brief."), room=ctx.room)
    session.say("Hello! What can I do for you?")


if __name__ == "__main__":
    sys.exit(main(["start", str(Path(__file__))]))
