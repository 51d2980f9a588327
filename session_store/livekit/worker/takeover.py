"""Taking over from agents elsewhere: a lease was lost, or an agent that was sent is overdue.

That does not mean that nobody is there. The agent may be cut off from the store alone, and then
its participant can go on talking to it; so it is asked first. And a watcher that was cut off
itself must not judge others. Which of several watchers sends an agent is decided in the store.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from session_store.backends.values import AgentPresence, SettleOutcome
from session_store.errors import SessionStoreError
from session_store.livekit.rooms.rooms import LiveKitFailed
from session_store.tasks import reason_of

if TYPE_CHECKING:
    from session_store.backends.values import SessionRef
    from session_store.livekit.rooms.rooms import LiveKitRooms
    from session_store.livekit.worker.contact import Contact
    from session_store.livekit.worker.dispatcher import Sender
    from session_store.livekit.worker.room_finder import Finder, Found
    from session_store.meter import DispatchReason
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

CLAIM_EVERY_S: Final = 0.1
"""How often a lease that is about to run out is claimed, until it has."""


class Takeover:
    """Relieves agents that are lost."""

    def __init__(  # noqa: PLR0913 (made in one place only)
        self,
        store: SessionStore,
        rooms: LiveKitRooms,
        finder: Finder,
        sender: Sender,
        contact: Contact,
        *,
        caution_s: float,
    ) -> None:
        """Make it.

        Args:
            store: where sessions are.
            rooms: where people and agents are.
            finder: which are whose.
            sender: sends agents.
            contact: this process's own, with the store.
            caution_s: how long that must have lasted before a lost lease means anything.
        """
        self._store = store
        self._rooms = rooms
        self._finder = finder
        self._sender = sender
        self._contact = contact
        self._caution_s = caution_s

    async def relieve(self, session: SessionRef, *, lease_ran_out: bool = True) -> None:
        """See to a session that may lack its agent. What fails now comes again by itself.

        Args:
            session: which.
            lease_ran_out: while the store was away, every lease has. Where nobody holds one, as
                before an agent that was sent has come, there is nothing to be careful with.
        """
        try:
            await self._relieve(session, lease_ran_out=lease_ran_out)
        except (LiveKitFailed, SessionStoreError) as error:
            reason = str(error) if isinstance(error, LiveKitFailed) else reason_of(error)
            logger.warning(
                "a session may lack its agent; it is looked at again soon",
                extra={"session_id": session.session_id, "reason": reason},
            )

    async def be_ready(self, session: SessionRef, *, within_s: float) -> None:
        """Ask the agent whose lease runs out ``within_s``, so as to lose no time when it has.

        What fails, or cannot be decided, is left to ``relieve``.
        """
        if self._contact.lasts_s < self._caution_s:
            return
        try:
            await self._claim_when_lost(session, within_s)
        except (LiveKitFailed, SessionStoreError) as error:
            logger.debug("not ready", extra={"session_id": session.session_id, "error": str(error)})

    async def _claim_when_lost(self, session: SessionRef, within_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s + CLAIM_EVERY_S
        found = await self._find_alone(session)
        if found is None or not found.waits or self._sender.cap.take():
            return
        while loop.time() < until and self._contact.lasts_s >= self._caution_s:
            presence = await self._store.claim_orphan(*session)
            if presence is not AgentPresence.PRESENT:
                await self._sender.act_on(presence, session, found, "lease_lost")
                return
            await asyncio.sleep(CLAIM_EVERY_S)

    async def _relieve(self, session: SessionRef, *, lease_ran_out: bool) -> None:
        has_turn = False
        while True:
            if lease_ran_out and self._contact.lasts_s < self._caution_s:
                await self._wait_for_contact()
                if not await self._is_orphaned(session):
                    return
            found = await self._find_alone(session)
            if found is None or not (found.waits or found.certain):
                return
            if has_turn or not found.waits or not (wait_s := self._sender.cap.take()):
                break
            await asyncio.sleep(wait_s)
            has_turn = True
        presence = await self._store.claim_orphan(*session, absent=not found.waits)
        reason: DispatchReason = "lease_lost" if lease_ran_out else "overdue"
        await self._sender.act_on(presence, session, found, reason)

    async def _find_alone(self, session: SessionRef) -> Found | None:
        """Find where the session's agent belongs; ``None`` if one that lives is there."""
        found = await self._finder.find(session)
        if await self._rooms.any_answers(found.dispatch.room, found.there.agents):
            # It cannot reach the store, or waits for its participant.
            logger.debug("an agent lives", extra={"session_id": session.session_id})
            return None
        return found

    async def _wait_for_contact(self) -> None:
        missing_s = self._caution_s - self._contact.lasts_s
        while missing_s > 0:
            await asyncio.sleep(missing_s)
            missing_s = self._caution_s - self._contact.lasts_s

    async def _is_orphaned(self, session: SessionRef) -> bool:
        """Look again: the holder may have renewed its lease meanwhile."""
        return await self._store.settle(session) in {SettleOutcome.ORPHANED, SettleOutcome.OVERDUE}
