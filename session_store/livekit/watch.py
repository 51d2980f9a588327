"""``watch_over``: what a worker's main process does so that nobody talks to nobody."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Final

from session_store.errors import StoreUnavailable
from session_store.livekit.contact import ContactKeeper
from session_store.livekit.jobs import Jobs, dead_job
from session_store.livekit.rate import RateCap
from session_store.livekit.rooms import LiveKitRooms
from session_store.livekit.takeover import Takeover
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.sweeper import Sweeper
from session_store.tasks import KeptTasks, Outage
from session_store.watching import watched

if TYPE_CHECKING:
    from livekit.agents import AgentServer

    from session_store.backends.base import DueSession

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.05
"""How often the worker's jobs are looked at."""
SWEEP_EVERY_S: Final = 0.5
CAUTION_IN_LEASES: Final = 2.0
"""A store that stalls for longer than a lease lets every lease run out. Holders take theirs again
within one more, so a watcher that was cut off itself waits for two."""
LAST_S: Final = 2.0
"""How long the end of the worker waits for successors of its last jobs to be on their way."""


def watch_over(
    server: AgentServer, settings: StoreSettings | None = None, *, agent_name: str
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
    """
    tasks = KeptTasks(logger)

    @server.on("worker_started")
    def begin(*_: object) -> None:
        tasks.spawn(_watch(server, settings or StoreSettings(), agent_name))


async def _watch(server: AgentServer, settings: StoreSettings, agent_name: str) -> None:
    store = SessionStore.from_settings(settings)
    # Where the worker itself was told to find LiveKit: it has put that there before it started.
    livekit = (os.environ[f"LIVEKIT_{name}"] for name in ("URL", "API_KEY", "API_SECRET"))
    longest_gap_s = settings.lease_s / 3
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(aclosing(store))
        await stack.enter_async_context(watched(store, actor="agent"))
        rooms = await stack.enter_async_context(LiveKitRooms(*livekit))
        keeper = await stack.enter_async_context(
            aclosing(ContactKeeper(store, longest_gap_s=longest_gap_s))
        )
        takeover = Takeover(
            store,
            rooms,
            agent_name=agent_name,
            contact=keeper.contact,
            caution_s=CAUTION_IN_LEASES * settings.lease_s,
            cap=RateCap(settings.takeovers_per_s),
            expected_s=settings.agent_expected_s,
        )
        orphans = Orphans(takeover)
        sweeper = await stack.enter_async_context(
            aclosing(Sweeper(store, every_s=SWEEP_EVERY_S, on_orphan=orphans.see_to))
        )
        stack.push_async_callback(orphans.aclose)
        await _check_keys(store)
        keeper.start()
        sweeper.start()
        await _watch_jobs(server, store, takeover)


async def _check_keys(store: SessionStore) -> None:
    """Make sure that the store was written with these keys, once it is there.

    Raises:
        WrongKey: it was not. Nobody's sessions would be found, so nothing is watched.
    """
    outage = Outage(logger, "the watch", "")
    while True:
        try:
            return await store.check()
        except StoreUnavailable as error:
            await outage.pause(error)


async def _watch_jobs(server: AgentServer, store: SessionStore, takeover: Takeover) -> None:
    jobs = Jobs()
    successors = KeptTasks(logger)

    def look() -> None:
        for info in jobs.ended(server.active_jobs):
            successors.spawn(takeover.replace(dead_job(store, info)))

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


class Orphans:
    """Sees to sessions that may lack their agent, each in a task of its own."""

    def __init__(self, takeover: Takeover) -> None:
        self._takeover = takeover
        self._seen_to: set[DueSession] = set()
        self._tasks = KeptTasks(logger)

    def see_to(self, session: DueSession) -> None:
        """Begin to see to a session. One that is seen to already is left at that."""
        if session not in self._seen_to:
            self._seen_to.add(session)
            task = self._tasks.spawn(self._takeover.relieve(session))
            task.add_done_callback(lambda _: self._seen_to.discard(session))

    async def aclose(self) -> None:
        """Stop."""
        await self._tasks.aclose()
