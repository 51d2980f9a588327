"""``watch_over``: what a worker's main process does so that nobody talks to nobody."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from session_store.backends.choice import backend_of
from session_store.errors import StoreRefused, StoreUnavailable, WrongKey
from session_store.livekit.rooms.rooms import LiveKitFailed, LiveKitRooms
from session_store.livekit.telemetry.worker_memory import MemoryGauge
from session_store.livekit.worker.contact import ContactKeeper
from session_store.livekit.worker.dead_jobs import DeadJobs
from session_store.livekit.worker.dispatcher import Sender
from session_store.livekit.worker.jobs import Jobs, dead_job
from session_store.livekit.worker.orphans import Orphans
from session_store.livekit.worker.rate import RateCap
from session_store.livekit.worker.room_finder import Finder
from session_store.livekit.worker.takeover import Takeover
from session_store.meter import NO_METER
from session_store.monitor import Gauges
from session_store.sealing.crypto import Keyring
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.tasks import KeptTasks, Outage
from session_store.upkeep.observers import watched
from session_store.upkeep.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentServer

    from session_store.meter import Meter

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.05
"""How often the worker's jobs are looked at."""
SWEEP_EVERY_S: Final = 0.5
CAUTION_IN_LEASES: Final = 2.0
"""A store that stalls for longer than a lease lets every lease run out. Holders take theirs again
within one more, so a watcher that was cut off itself waits for two."""
LIVEKIT_GAP_S: Final = 3.0
"""Who has not reached LiveKit for so long leaves orphans to others."""
SAY_AGAIN_S: Final = 60.0
LAST_S: Final = 2.0
"""How long the end of the worker waits for successors of its last jobs to be on their way."""


def watch_over(
    server: AgentServer,
    settings: StoreSettings | None = None,
    *,
    agent_name: str,
    meter: Callable[[], Meter] = lambda: NO_METER,
) -> None:
    """Have this worker's main process watch over all conversations, from its start to its end.

    It sends another agent where a job of its own has died, and where any session lacks its agent;
    it also ends and erases sessions whose time has come. Any number of workers may do so. Call it
    once per worker, anywhere before the worker runs.

    Args:
        server: the worker.
        settings: how to reach the store, and how long leases are. By default, those of the
            environment.
        agent_name: under which this worker takes jobs: of the agents that it sends where none
            was before.
        meter: makes what hears of all this, when the worker has started.
    """
    tasks = KeptTasks(logger)

    @server.on("worker_started")
    def begin(*_: object) -> None:
        tasks.spawn(_watch(server, settings or StoreSettings(), agent_name, meter()))


async def _watch(
    server: AgentServer, settings: StoreSettings, agent_name: str, meter: Meter
) -> None:
    # Where the worker itself was told to find LiveKit: it has put that there before it started.
    livekit = [os.environ.get(f"LIVEKIT_{name}", "") for name in ("URL", "API_KEY", "API_SECRET")]
    if not all(livekit):
        logger.error("nobody is watched over: that needs LiveKit's address, API key and secret")
        return
    keyring, backend = Keyring.from_settings(settings), backend_of(settings)
    store = SessionStore(backend, keyring)
    async with (
        aclosing(store),
        watched(store, actor="agent", meter=meter),
        LiveKitRooms(*livekit, meter=meter) as rooms,
    ):
        with_store = ContactKeeper("the store", store.ping, longest_gap_s=settings.lease_s / 3)
        with_livekit = ContactKeeper("LiveKit", rooms.reach, longest_gap_s=LIVEKIT_GAP_S)
        finder = Finder(store, rooms, agent_name=agent_name)
        sender = Sender(
            rooms,
            cap=RateCap(settings.takeovers_per_s),
            expected_s=settings.agent_expected_s,
            meter=meter,
        )
        takeover = Takeover(
            store,
            rooms,
            finder,
            sender,
            with_store.contact,
            caution_s=CAUTION_IN_LEASES * settings.lease_s,
        )
        orphans = Orphans(takeover, settings.lease_s)
        sweeper = Sweeper(
            store,
            every_s=SWEEP_EVERY_S,
            on_orphan=orphans.see_to,
            on_overdue=orphans.see_to_overdue,
            on_late=orphans.be_ready_for,
            is_able=lambda: with_livekit.contact.lasts_s > 0,
        )
        redis_gauges, memory_gauge = Gauges(backend, meter), MemoryGauge(meter)
        if meter is not NO_METER:
            redis_gauges.start()
            memory_gauge.start()
        tasks = KeptTasks(logger)

        async def begin() -> None:
            await _check_keys(store)
            for each in (with_store, with_livekit, sweeper):
                each.start()
            await _say_if_mute(rooms)

        async with (
            aclosing(with_store),
            aclosing(with_livekit),
            aclosing(orphans),
            aclosing(sweeper),
            aclosing(redis_gauges),
            aclosing(memory_gauge),
            aclosing(tasks),
        ):
            tasks.spawn(begin())
            await _watch_jobs(server, store, DeadJobs(store, rooms, finder, sender))


async def _check_keys(store: SessionStore) -> None:
    """Wait until it is certain that the store was written with these keys.

    With others nobody's session would be found: that is said again and again, and nothing else
    is done.
    """
    outage = Outage(logger, "the watch", "")
    while True:
        try:
            return await store.check()
        except (StoreUnavailable, StoreRefused) as error:
            await outage.pause(error)
        except WrongKey as error:
            logger.error("nobody is watched over", extra={"reason": str(error)})  # noqa: TRY400 (the trace tells nothing more)
            await asyncio.sleep(SAY_AGAIN_S)


async def _say_if_mute(rooms: LiveKitRooms) -> None:
    """Say once if this LiveKit cannot ask agents whether they live.

    Then none is judged that LiveKit shows: it drops a dead one after about 20 s, and only then
    its conversation is taken over. A job of this worker is replaced at once all the same.
    """
    with suppress(LiveKitFailed):
        if not await rooms.can_ping():
            logger.warning("this LiveKit cannot ping agents; lost ones are noticed 20 s later")


async def _watch_jobs(server: AgentServer, store: SessionStore, dead_jobs: DeadJobs) -> None:
    jobs = Jobs()
    successors = KeptTasks(logger)

    def look() -> None:
        try:
            for info in jobs.ended(server.active_jobs):
                successors.spawn(dead_jobs.replace(dead_job(store, info)))
        except Exception:
            # One that a defect has ended would leave people alone, unnoticed.
            logger.exception("a look at the jobs failed; the next one goes on")

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
