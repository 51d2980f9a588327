"""``watch_over``: what the main process of a worker does so that no participant is left alone."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Final

from session_store.backends.choice import backend_of
from session_store.errors import StoreRefused, StoreUnavailable, WrongKey
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.rooms import LiveKitRooms
from session_store.livekit.telemetry.worker_memory import MemoryGauge
from session_store.livekit.worker.contact import ContactKeeper
from session_store.livekit.worker.dead_jobs import DeadJob, DeadJobs, RunningJobs
from session_store.livekit.worker.dispatcher import Dispatcher
from session_store.livekit.worker.room_finder import RoomFinder
from session_store.livekit.worker.spool_replay import replay_spool
from session_store.livekit.worker.start_checks import NotReady, settings_for
from session_store.livekit.worker.takeover import Takeover, TakeoverTasks
from session_store.meter import NO_METER
from session_store.monitor import Gauges
from session_store.sealing.keyring import Keyring
from session_store.store import SessionStore
from session_store.tasks import KeptTasks, Outage, RateLimit
from session_store.upkeep.observers import watched
from session_store.upkeep.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentServer

    from session_store.meter import Meter
    from session_store.settings import StoreSettings

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.05
"""How often the worker's jobs are looked at."""
SWEEP_EVERY_S: Final = 0.5
CAUTION_IN_LEASES: Final = 2.0
"""A store that stalls for longer than a lease lets every lease run out. Holders renew theirs within
one more lease, so a watcher that was itself cut off waits for two."""
LIVEKIT_GAP_S: Final = 3.0
"""A watcher that has not reached LiveKit for so long leaves orphans to other workers."""
DROPPED_AFTER_S: Final = 20.0
"""LiveKit shows a dead agent for about this long. Without pings a takeover waits for that."""
SAY_AGAIN_S: Final = 60.0
LAST_S: Final = 2.0
"""How long the end of the worker waits for the successors of its last jobs to be dispatched."""


def watch_over(
    server: AgentServer,
    settings: StoreSettings | None = None,
    *,
    agent_name: str | None = None,
    meter: Callable[[], Meter] = lambda: NO_METER,
) -> None:
    """Have this worker's main process watch over all conversations, from its start to its end.

    It dispatches another agent if a job of this worker has died, or if any session lacks its agent.
    It ends and erases sessions when their time has come. It saves the turns that jobs have left in
    the spool (``REJOIN_SPOOL_DIR``), once the store is reachable. Any number of workers may watch.
    Call it once per worker, anywhere before the worker runs. A worker without valid settings, keys
    and folders does not start: it logs why, and exits with 1. In LiveKit's console this does
    nothing.

    Args:
        server: the worker.
        settings: how to reach the store, and how long leases are. By default, those of the
            environment.
        agent_name: the name under which this worker takes jobs, and of the agents that it
            dispatches where none was before. By default, the one that LiveKit knows the worker by:
            ``LIVEKIT_AGENT_NAME`` of the environment.
        meter: called once the worker has started; returns what measures all this.
    """
    tasks = KeptTasks(logger)

    @server.on("worker_started")
    def begin(*_: object) -> None:
        try:
            known = settings_for(server, settings)
        except NotReady as error:
            logger.critical("the worker does not start: %s", error)
            # Not from here: a task that ends so leaves a traceback behind.
            asyncio.get_running_loop().call_soon(sys.exit, 1)
            return
        if known is None:
            return
        measured = meter()
        tasks.spawn(_watch(server, known, agent_name or _name_of(server), measured))
        if known.spool_dir is not None:
            tasks.spawn(replay_spool(known, known.spool_dir, measured))


def _name_of(server: AgentServer) -> str:
    """Return the name that a worker registers; every version of livekit-agents keeps it there."""
    name: str = server._agent_name  # noqa: SLF001 (no version shows it)
    if not name:
        logger.warning("this worker has no agent name: set LIVEKIT_AGENT_NAME")
    return name


async def _watch(
    server: AgentServer, settings: StoreSettings, agent_name: str, meter: Meter
) -> None:
    # The worker has put its own LiveKit settings into the environment before it started.
    livekit = [os.environ.get(f"LIVEKIT_{name}", "") for name in ("URL", "API_KEY", "API_SECRET")]
    if not all(livekit):
        logger.error("not watching conversations: LiveKit's URL, API key or secret is missing")
        return
    async with AsyncExitStack() as at_the_end:
        enter = at_the_end.enter_async_context
        keyring, backend = Keyring.from_settings(settings), backend_of(settings)
        store = await enter(aclosing(SessionStore(backend, keyring)))
        await enter(watched(store, actor="agent", meter=meter))
        rooms = await enter(LiveKitRooms(*livekit, meter=meter))
        gauges = await enter(aclosing(Gauges(backend, meter)))
        if meter is not NO_METER:
            gauges.start()
        watcher = _Watcher(store, rooms, settings, agent_name, meter)
        await enter(aclosing(watcher))
        watcher.start()
        await _watch_jobs(server, store, watcher.dead_jobs)


class _Watcher:
    """All that looks for agents that are lost, and replaces them, from ``start`` to ``aclose``."""

    def __init__(
        self,
        store: SessionStore,
        rooms: LiveKitRooms,
        settings: StoreSettings,
        agent_name: str,
        meter: Meter,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._meter = meter
        gap_s = settings.lease_s / 3
        self._with_store = ContactKeeper("the store", store.ping, longest_gap_s=gap_s)
        self._with_livekit = ContactKeeper("LiveKit", rooms.reach, longest_gap_s=LIVEKIT_GAP_S)
        finder = RoomFinder(store, rooms, agent_name=agent_name)
        dispatcher = Dispatcher(
            rooms,
            rate_limit=RateLimit(settings.takeovers_per_s),
            expected_s=settings.agent_expected_s,
            meter=meter,
        )
        self.dead_jobs: Final = DeadJobs(store, rooms, finder, dispatcher)
        caution_s = CAUTION_IN_LEASES * settings.lease_s
        takeover = Takeover(
            store, finder, dispatcher, self._with_store.contact, caution_s=caution_s
        )
        self._takeovers = TakeoverTasks(takeover, settings.lease_s)
        self._sweeper = Sweeper(
            store,
            every_s=SWEEP_EVERY_S,
            on_orphan=self._takeovers.relieve_orphan,
            on_overdue=self._takeovers.relieve_overdue,
            on_late=self._takeovers.be_ready_for,
            is_able=lambda: self._with_livekit.contact.lasts_s > 0,
        )
        self._memory_gauge = MemoryGauge(meter)
        self._tasks = KeptTasks(logger)

    def start(self) -> None:
        """Begin to measure at once, and to watch once the keys are known to fit the store."""
        if self._meter is not NO_METER:
            self._memory_gauge.start()
        self._tasks.spawn(self._begin())

    async def aclose(self) -> None:
        """Stop all parts."""
        parts = (
            self._with_store,
            self._with_livekit,
            self._takeovers,
            self._sweeper,
            self._memory_gauge,
            self._tasks,
        )
        async with AsyncExitStack() as last_one_first:
            for part in parts:
                last_one_first.push_async_callback(part.aclose)

    async def _begin(self) -> None:
        await _check_keys(self._store)
        for part in (self._with_store, self._with_livekit, self._sweeper):
            part.start()
        await _warn_without_pings(self._rooms)


async def _check_keys(store: SessionStore) -> None:
    """Wait until it is certain that the store was written with these keys.

    With other keys no session would be found. Then this logs an error every ``SAY_AGAIN_S``, and
    does nothing else.
    """
    outage = Outage(logger, "the watch", "")
    while True:
        try:
            return await store.check()
        except (StoreUnavailable, StoreRefused) as error:
            await outage.pause(error)
        except WrongKey as error:
            logger.error("not watching conversations", extra={"reason": str(error)})  # noqa: TRY400 (the trace tells nothing more)
            await asyncio.sleep(SAY_AGAIN_S)


async def _warn_without_pings(rooms: LiveKitRooms) -> None:
    """Warn once if this LiveKit cannot ping agents.

    Then no agent that LiveKit shows counts as dead. LiveKit drops a dead one after
    ``DROPPED_AFTER_S``, and only then is its conversation taken over. A dead job of this worker is
    replaced at once all the same.
    """
    with suppress(LiveKitFailed):
        if not await rooms.can_ping():
            logger.warning(
                "this LiveKit cannot ping agents: lost ones are noticed %.0f s later",
                DROPPED_AFTER_S,
            )


async def _watch_jobs(server: AgentServer, store: SessionStore, dead_jobs: DeadJobs) -> None:
    jobs = RunningJobs()
    successors = KeptTasks(logger)

    def look() -> None:
        try:
            for info in jobs.ended(server.active_jobs):
                successors.spawn(dead_jobs.replace(DeadJob.of(store, info)))
        except Exception:
            # Were this loop to end by a defect, dead jobs would not be replaced any more.
            logger.exception("checking the jobs failed: retrying")

    try:
        while True:
            look()
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        look()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await successors.wait()
        await successors.aclose()
