"""Takeover from agents of other workers: a lease was lost, or an agent that was sent is overdue.

A lost lease does not mean that the agent is dead. It may be cut off from the store alone, and then
its participant can go on talking to it, so the agent is pinged first. A watcher that was itself cut
off must not declare others dead. The store decides which of several watchers sends an agent.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from session_store.backends.values import AgentPresence, SettleOutcome
from session_store.errors import SessionStoreError
from session_store.keys import LATE_PART
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.tasks import KeptTasks, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from session_store.backends.values import SessionRef
    from session_store.livekit.worker.contact import Contact
    from session_store.livekit.worker.dispatcher import Dispatcher
    from session_store.livekit.worker.room_finder import RoomFinder, SessionRoom
    from session_store.meter import DispatchReason
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

CLAIM_EVERY_S: Final = 0.1
"""How often a lease that is about to run out is claimed, until it has run out."""


class Takeover:
    """Replaces agents that are lost."""

    def __init__(
        self,
        store: SessionStore,
        finder: RoomFinder,
        dispatcher: Dispatcher,
        contact: Contact,
        *,
        caution_s: float,
    ) -> None:
        """Make a takeover.

        Args:
            store: the sessions.
            finder: finds their rooms.
            dispatcher: sends agents.
            contact: this process's contact with the store.
            caution_s: how long the contact must have lasted before a lost lease means anything.
        """
        self._store = store
        self._finder = finder
        self._dispatcher = dispatcher
        self._contact = contact
        self._caution_s = caution_s

    async def relieve(self, session: SessionRef, *, lease_ran_out: bool = True) -> None:
        """Replace the agent of a session, if it is lost. The next sweep retries a failure.

        Args:
            session: the session.
            lease_ran_out: every lease runs out while the store is away, so this needs caution.
                False if no job holds a lease, as before an agent that was sent has come.
        """
        try:
            await self._relieve(session, lease_ran_out=lease_ran_out)
        except (LiveKitFailed, SessionStoreError) as error:
            reason = str(error) if isinstance(error, LiveKitFailed) else reason_of(error)
            logger.warning(
                "a session may lack its agent: checking again at the next sweep",
                extra={"session_id": session.session_id, "reason": reason},
            )

    async def be_ready(self, session: SessionRef, *, within_s: float) -> None:
        """Ping an agent whose lease runs out ``within_s``; claim its session as soon as it has.

        ``relieve`` handles what fails here, or cannot be decided.
        """
        if self._contact.lasts_s < self._caution_s:
            return
        try:
            await self._claim_when_lost(session, within_s)
        except (LiveKitFailed, SessionStoreError) as error:
            extra = {"session_id": session.session_id, "error": str(error)}
            logger.debug("a claim could not be prepared", extra=extra)

    async def _claim_when_lost(self, session: SessionRef, within_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s + CLAIM_EVERY_S
        session_room = await self._find_alone(session)
        if session_room is None or not session_room.is_awaited:
            return
        if self._dispatcher.rate_limit.take():
            return
        while loop.time() < until and self._contact.lasts_s >= self._caution_s:
            presence = await self._store.claim_orphan(*session, room=session_room.dispatch.room)
            if presence is not AgentPresence.PRESENT:
                await self._dispatcher.act_on(presence, session, session_room, "lease_lost")
                return
            await asyncio.sleep(CLAIM_EVERY_S)

    async def _relieve(self, session: SessionRef, *, lease_ran_out: bool) -> None:
        session_room = await self._find_orphan(session, lease_ran_out=lease_ran_out)
        if session_room and session_room.is_awaited:
            wait_s = self._dispatcher.rate_limit.reserve()
            if wait_s:
                await asyncio.sleep(wait_s)
                session_room = await self._find_orphan(session, lease_ran_out=lease_ran_out)
        if session_room is None:
            return
        absent = not session_room.is_awaited
        room = "" if absent else session_room.dispatch.room
        presence = await self._store.claim_orphan(*session, absent=absent, room=room)
        reason: DispatchReason = "lease_lost" if lease_ran_out else "overdue"
        await self._dispatcher.act_on(presence, session, session_room, reason)

    async def _find_orphan(self, session: SessionRef, *, lease_ran_out: bool) -> SessionRoom | None:
        """Find the room of a session that lacks its agent; ``None`` if that is not certain."""
        if lease_ran_out and self._contact.lasts_s < self._caution_s:
            await self._wait_for_contact()
            if not await self._is_orphaned(session):
                return None
        session_room = await self._find_alone(session)
        if session_room is None or not (session_room.is_awaited or session_room.is_certain):
            return None
        return session_room

    async def _find_alone(self, session: SessionRef) -> SessionRoom | None:
        """Find where the session's agent belongs; ``None`` if a living one is there."""
        session_room = await self._finder.without_agent(await self._finder.find(session))
        if session_room is None:
            # The agent is cut off from the store, or waits for its participant.
            logger.debug("an agent lives", extra={"session_id": session.session_id})
        return session_room

    async def _wait_for_contact(self) -> None:
        missing_s = self._caution_s - self._contact.lasts_s
        while missing_s > 0:
            await asyncio.sleep(missing_s)
            missing_s = self._caution_s - self._contact.lasts_s

    async def _is_orphaned(self, session: SessionRef) -> bool:
        """Ask the store again: the holder may have renewed its lease meanwhile."""
        return await self._store.settle(session) in {SettleOutcome.ORPHANED, SettleOutcome.OVERDUE}


class TakeoverTasks:
    """Handles what a sweep finds, each session in a task of its own, and in one at a time.

    A session that a task handles already is skipped.
    """

    def __init__(self, takeover: Takeover, lease_s: float) -> None:
        self._takeover = takeover
        self._lease_s = lease_s
        self._handled: set[SessionRef] = set()
        self._tasks = KeptTasks(logger)

    def relieve_orphan(self, session: SessionRef) -> None:
        """Handle a session whose lease ran out."""
        self._begin(session, partial(self._takeover.relieve, lease_ran_out=True))

    def relieve_overdue(self, session: SessionRef) -> None:
        """Handle a session of which no job holds a lease."""
        self._begin(session, partial(self._takeover.relieve, lease_ran_out=False))

    def be_ready_for(self, session: SessionRef) -> None:
        """Handle a session whose lease is about to run out."""
        within_s = self._lease_s * LATE_PART
        self._begin(session, partial(self._takeover.be_ready, within_s=within_s))

    async def aclose(self) -> None:
        """Cancel all tasks."""
        await self._tasks.aclose()

    def _begin(
        self, session: SessionRef, handle: Callable[[SessionRef], Coroutine[Any, Any, None]]
    ) -> None:
        if session not in self._handled:
            self._handled.add(session)
            task = self._tasks.spawn(handle(session))
            task.add_done_callback(lambda _: self._handled.discard(session))
