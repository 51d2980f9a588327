"""The LiveKit worker: one job, one conversation."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from livekit.agents import AgentServer, AgentSession, JobContext, JobProcess
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions

from agent import metrics, pipelines, tracing
from agent.assistant import Assistant
from agent.redis_checks import watch_start
from agent.settings import AgentSettings
from session_store import SessionStore, SessionStoreError, StoreSettings
from session_store.livekit import persist, watch_over
from session_store.logs import LogSettings, adopt, guard
from session_store.tasks import KeptTasks
from session_store.upkeep.observers import watched
from session_store.writing.spool import Spool, keep_replaying

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

logger = logging.getLogger(__name__)

LAST_REPLAY_S = 2.0
"""How long the worker's end waits for the store."""

PROCESS_READY_S = 30.0
"""How long a job's process may take to start. On a busy machine LiveKit's 10 s end each of them
when it is nearly there, and the next ones make the machine busier."""

settings = AgentSettings()


def load(worker: AgentServer) -> float:
    """Report the load by number of jobs: LiveKit gives no job to whose load is 0.7.

    By CPU, a busy moment makes it drop dispatches in silence.
    """
    return 0.7 * len(worker.active_jobs) / settings.agent_max_jobs


def prewarm(process: JobProcess) -> None:
    """Build what is slow, before there is a conversation."""
    guard()
    tracing.begin(settings)
    metrics.meter(settings)
    pipelines.prewarm(settings, process.userdata)


class Worker(AgentServer):
    """LiveKit's, with our log lines from the first one on."""

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """See ``AgentServer``."""
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


@server.on("worker_registered")
def note_ready(*_: object) -> None:
    """Say that jobs can come now: the health endpoint answers before that."""
    if settings.agent_ready_file is not None:
        settings.agent_ready_file.touch()


watch_over(
    server,
    StoreSettings(),
    agent_name=settings.livekit_agent_name,
    meter=lambda: metrics.meter(settings),
)

_tasks = KeptTasks(logger)


@server.on("worker_started")
def begin(*_: object) -> None:
    """Warn of a Redis that loses conversations; bring in what jobs had to leave, until the end."""
    store_settings = StoreSettings()
    _tasks.spawn(metrics.worker_metrics.keep_showing())
    _tasks.spawn(watch_start(store_settings))
    if store_settings.spool_dir is not None:
        _tasks.spawn(_replay_spool(store_settings, store_settings.spool_dir))


async def _replay_spool(store_settings: StoreSettings, folder: Path) -> None:
    store = SessionStore.from_settings(store_settings)
    store.measure(metrics.meter(settings))
    retention = timedelta(seconds=store_settings.retention_s)
    try:
        await keep_replaying(store, folder, retention=retention)
    finally:
        # The last jobs ended a moment ago, and the folder may go with this container.
        with suppress(SessionStoreError, TimeoutError, OSError):
            async with asyncio.timeout(LAST_REPLAY_S):
                await Spool(folder, retention=retention).replay(store)
        await store.aclose()


# Browsers level the microphone's volume themselves; done twice, speech is clipped.
_ROOM_OPTIONS = RoomOptions(audio_input=AudioInputOptions(auto_gain_control=False))


@server.rtc_session(agent_name=settings.livekit_agent_name)
async def entrypoint(ctx: JobContext) -> None:
    """Continue, or begin, the conversation of the participant whom this job is for."""
    store_settings = StoreSettings()
    store = SessionStore.from_settings(store_settings)
    at_the_end = AsyncExitStack()
    at_the_end.push_async_callback(store.aclose)
    await at_the_end.enter_async_context(
        watched(store, actor="agent", meter=metrics.meter(settings))
    )
    pipeline = pipelines.build(settings, ctx.proc.userdata, "en")
    agent_session: AgentSession[Any] = AgentSession(**pipeline.session_options())
    try:
        conversation = await persist(
            ctx,
            agent_session,
            store,
            store_settings,
            room_options=_ROOM_OPTIONS,
            spare_voice=pipeline.spare_voice,
        )
    except SessionStoreError as error:
        logger.warning("there is no conversation to hold", extra={"reason": str(error)})
        ctx.add_shutdown_callback(at_the_end.aclose)
        return

    async def close() -> None:
        await conversation.ended()
        await at_the_end.aclose()

    ctx.add_shutdown_callback(close)
    pipeline.set_language(conversation.content.language)
    conversation.watch(*pipeline.fronted)
    await agent_session.start(Assistant(conversation, pipeline), **conversation.start_args)
    await conversation.greet()
