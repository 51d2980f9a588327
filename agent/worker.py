"""The LiveKit worker: one job per conversation."""

from __future__ import annotations

import logging
import os
from typing import Any

from livekit.agents import AgentServer, AgentSession, JobContext, JobProcess
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions
from typing_extensions import override

from agent import metrics, pipelines, tracing
from agent.assistant import Assistant
from agent.redis_checks import watch_start
from agent.settings import AgentSettings
from agent.welcome import words_of_welcome
from session_store import SessionStoreError, StoreSettings
from session_store.livekit import persist, watch_over
from session_store.logs import LogSettings, adopt, guard
from session_store.tasks import KeptTasks

logger = logging.getLogger(__name__)

PROCESS_READY_S = 30.0
"""How long a job's process may take to start. On a busy machine LiveKit's 10 s would end processes
that are nearly ready, and the next ones make the machine busier."""

settings = AgentSettings()
# LiveKit takes the name from there: livekit-agents 2.0 has no argument for it.
os.environ.setdefault("LIVEKIT_AGENT_NAME", settings.livekit_agent_name)


def load(worker: AgentServer) -> float:
    """Report the load by the number of jobs: LiveKit sends no job to a worker at 0.7.

    If the load is by CPU, a busy moment makes LiveKit drop dispatches in silence.
    """
    return 0.7 * len(worker.active_jobs) / settings.agent_max_jobs


def prewarm(process: JobProcess) -> None:
    """Build what is slow, before there is a conversation."""
    guard()
    tracing.begin(settings)
    metrics.meter(settings)
    pipelines.prewarm(settings, process.userdata)


class Worker(AgentServer):
    """LiveKit's worker, with our log lines from the first one on."""

    @override
    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        adopt(LogSettings())
        await super().run(devmode=devmode, unregistered=unregistered)


server = Worker(
    ws_url=settings.livekit_url,
    api_key=settings.livekit_api_key,
    api_secret=settings.livekit_api_secret,
    host=settings.agent_http_host,
    port=settings.agent_http_port,
    setup_fnc=prewarm,
    load_fnc=load,
    num_idle_processes=settings.agent_idle_processes,
    initialize_process_timeout=PROCESS_READY_S,
    drain_timeout=settings.agent_drain_s,
)
watch_over(server, meter=lambda: metrics.meter(settings))
_tasks = KeptTasks(logger)


@server.on("worker_registered")
def note_ready(*_: object) -> None:
    """Report that jobs can come now: the health endpoint answers before that."""
    if settings.agent_ready_file is not None:
        settings.agent_ready_file.touch()


@server.on("worker_started")
def begin(*_: object) -> None:
    """Show metrics, and warn of a Redis that loses conversations."""
    _tasks.spawn(metrics.worker_metrics.keep_showing())
    _tasks.spawn(watch_start(StoreSettings()))


# Browsers level the microphone's volume themselves; if it is done twice, speech is clipped.
_ROOM_OPTIONS = RoomOptions(audio_input=AudioInputOptions(auto_gain_control=False))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Continue, or begin, the conversation of the participant whom this job is for."""
    pipeline = pipelines.build(settings, ctx.proc.userdata, "en")
    session: AgentSession[Any] = AgentSession(**pipeline.session_options())
    try:
        conversation = await persist(
            ctx,
            session,
            room_options=_ROOM_OPTIONS,
            words=words_of_welcome,
            spare_voice=pipeline.spare_voice,
            meter=metrics.meter(settings),
        )
    except SessionStoreError as error:
        logger.warning("there is no conversation to hold", extra={"reason": str(error)})
        return
    pipeline.set_language(conversation.content.language)
    conversation.watch(*pipeline.fronted)
    assistant = await conversation.resume(Assistant(conversation, pipeline))
    await session.start(assistant, **conversation.start_args)
    await conversation.greet()
