"""Takeover: who talks to nobody is sent another agent.

A watcher comes here for one of two reasons. It saw a job of its own worker end: then that job is
dead, and its lease is broken at once. Or it saw a session whose lease was lost, or whose agent
is overdue: then the agent may live all the same, cut off from the store, and is asked. Which of
several watchers sends the successor is decided in the store.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.backends.base import AgentPresence, DueSession, SettleOutcome
from session_store.errors import SessionStoreError, StoreUnavailable
from session_store.keys import CRASH_WINDOW
from session_store.livekit.rooms import GAVE_UP, Dispatch, LiveKitFailed, Occupants
from session_store.tasks import Outage, reason_of

if TYPE_CHECKING:
    from session_store.livekit.contact import Contact
    from session_store.livekit.rate import RateCap
    from session_store.livekit.rooms import LiveKitRooms
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

STORE_AWAY_S: Final = 1.0
"""How long a store that does not answer is waited for, before a successor is sent without it."""
REMEMBERED_S: Final = 300.0
"""How long a dead job is remembered while store or LiveKit do not answer. After that its lease,
which runs out by itself, tells of it."""


class DeadJob(NamedTuple):
    """A job that has ended, one way or another."""

    owner: str
    """As which it held its lease; see ``SessionStore.owner_of``."""
    dispatch: Dispatch
    """What brought it."""
    session: DueSession | None
    """Whose conversation it had; ``None`` where the dispatch does not say."""


class Found(NamedTuple):
    """Where a session's agent belongs."""

    dispatch: Dispatch
    there: Occupants
    waits: bool
    """Whether the participant is there."""


class Takeover:
    """Sends successors."""

    def __init__(  # noqa: PLR0913 (made in one place only)
        self,
        store: SessionStore,
        rooms: LiveKitRooms,
        *,
        agent_name: str,
        contact: Contact,
        caution_s: float,
        cap: RateCap,
        expected_s: float,
    ) -> None:
        """Make it.

        Args:
            store: where sessions are.
            rooms: where people and agents are.
            agent_name: of the agents to send where none was before.
            contact: this process's own, with the store.
            caution_s: how long that must have lasted before a lost lease means anything.
            cap: how many successors are sent at most; the others wait.
            expected_s: how long an agent may take to come: so long a claim lasts.
        """
        self._store = store
        self._rooms = rooms
        self._agent_name = agent_name
        self._contact = contact
        self._caution_s = caution_s
        self._cap = cap
        self._expected_s = expected_s
        self._unclaimed: dict[str, float] = {}
        """By room, until when no other agent is sent there without a claim."""

    async def replace(self, dead: DeadJob) -> None:
        """See to whom a job of this worker talked before it ended; perhaps nobody waits any more.

        While store or LiveKit do not answer, it is tried again.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        attempt = secrets.token_hex(8)
        outage = Outage(logger, "a successor", dead.session.session_id if dead.session else "")
        while True:
            try:
                is_away = loop.time() - begun > STORE_AWAY_S
                if not (is_away and await self._replace_without_store(dead)):
                    await self._replace(dead, attempt)
            except (LiveKitFailed, StoreUnavailable) as error:
                if loop.time() - begun > REMEMBERED_S:
                    raise
                await outage.pause(error)
            else:
                return

    async def relieve(self, session: DueSession) -> None:
        """See to a session that may lack its agent. What fails now comes again by itself."""
        if self._contact.lasts_s < self._caution_s:
            await self._wait_for_contact()
            if not await self._is_orphaned(session):
                return
        try:
            await self._relieve(session)
        except (LiveKitFailed, SessionStoreError) as error:
            reason = str(error) if isinstance(error, LiveKitFailed) else reason_of(error)
            logger.warning(
                "a session may lack its agent; it is looked at again soon",
                extra={"session_id": session.session_id, "reason": reason},
            )

    async def _replace(self, dead: DeadJob, attempt: str) -> None:
        there = await self._rooms.look(dead.dispatch.room, dead.dispatch.agent_name)
        sessions = [dead.session] if dead.session else await self._kept_in(dead.dispatch, there)
        for session in sessions:
            found = Found(dead.dispatch, there, self._waits(session, there))
            if found.waits and (wait_s := self._cap.take()):
                await asyncio.sleep(wait_s)
                there = await self._rooms.look(dead.dispatch.room, dead.dispatch.agent_name)
                found = Found(dead.dispatch, there, self._waits(session, there))
            presence = await self._store.claim_orphan(
                *session, owner=dead.owner, absent=not found.waits, attempt=attempt
            )
            await self._act_on(presence, session, found, "its job ended")

    async def _replace_without_store(self, dead: DeadJob) -> bool:
        """Send a successor though nobody can claim to; tell whether that was done.

        Its conversation begins without the store, like any other. Should two be sent, the lease
        decides later which of them stays. Once a minute for each room: without the store nobody
        counts how often they die.
        """
        try:
            await self._store.ping()
        except StoreUnavailable:
            pass
        else:
            return False
        now = asyncio.get_running_loop().time()
        room = dead.dispatch.room
        self._unclaimed = {each: at for each, at in self._unclaimed.items() if at > now}
        there = await self._rooms.look(room, dead.dispatch.agent_name)
        waits = self._waits(dead.session, there) if dead.session else bool(there.people)
        if not waits or room in self._unclaimed:
            return False
        if await self._rooms.any_answers(room, there.agents):
            return True
        self._unclaimed[room] = now + CRASH_WINDOW.total_seconds()
        logger.warning("sending an agent without the store", extra={"room": room})
        return await self._rooms.bring(dead.dispatch, there, within_s=self._expected_s)

    async def _relieve(self, session: DueSession) -> None:
        found = await self._find_alone(session)
        if found and found.waits and (wait_s := self._cap.take()):
            await asyncio.sleep(wait_s)
            found = await self._find_alone(session)
        if found:
            presence = await self._store.claim_orphan(*session, absent=not found.waits)
            await self._act_on(presence, session, found, "it had none")

    async def _act_on(
        self, presence: AgentPresence, session: DueSession, found: Found, why: str
    ) -> None:
        extra = {"session_id": session.session_id, "why": why}
        room = found.dispatch.room
        if presence is AgentPresence.WANTED:
            logger.info("sending an agent", extra=extra)
            # If none comes for all that, it is overdue, and the session comes here again.
            await self._rooms.bring(found.dispatch, found.there, within_s=self._expected_s)
        elif presence is AgentPresence.GAVE_UP:
            logger.error("its agents die again and again; none is sent for a while", extra=extra)
            await self._rooms.tell_people(room, found.there, GAVE_UP)

    async def _find_alone(self, session: DueSession) -> Found | None:
        """Find where the session's agent belongs; ``None`` if one that lives is there."""
        found = await self._find(session)
        if await self._rooms.any_answers(found.dispatch.room, found.there.agents):
            # It cannot reach the store, or waits for its participant.
            logger.debug("an agent lives", extra={"session_id": session.session_id})
            return None
        return found

    async def _find(self, session: DueSession) -> Found:
        """Find where the participant waits: in the gateway's room, or where the last job was."""
        dispatch = Dispatch.for_session(*session, self._agent_name)
        there = await self._rooms.look(dispatch.room, dispatch.agent_name)
        found = Found(dispatch, there, self._waits(session, there))
        if found.waits:
            return found
        loaded = await self._store.load(*session, last=0)
        place = loaded.session.content.place if loaded else None
        if place is None:
            return found
        dispatch = Dispatch(place.room, place.agent_name, place.metadata)
        there = await self._rooms.look(dispatch.room, dispatch.agent_name)
        return Found(dispatch, there, self._waits(session, there))

    async def _kept_in(self, dispatch: Dispatch, there: Occupants) -> list[DueSession]:
        """Find the sessions that were held in a room, by who is still there."""
        sessions = []
        for identity in there.people:
            participant = self._store.pseudonym(identity)
            for session in (await self._store.sessions(participant, limit=1)).sessions:
                place = session.content.place
                if place is not None and place.room == dispatch.room:
                    sessions.append(DueSession(participant, session.id))
        return sessions

    def _waits(self, session: DueSession, there: Occupants) -> bool:
        """Tell whether the participant is there: by its pseudonym, or by the name behind it."""
        return session.participant in there.people or any(
            self._store.pseudonym(identity) == session.participant for identity in there.people
        )

    async def _wait_for_contact(self) -> None:
        missing_s = self._caution_s - self._contact.lasts_s
        while missing_s > 0:
            await asyncio.sleep(missing_s)
            missing_s = self._caution_s - self._contact.lasts_s

    async def _is_orphaned(self, session: DueSession) -> bool:
        """Look again: the holder may have renewed its lease meanwhile."""
        try:
            settled = await self._store.backend.settle(*session)
        except SessionStoreError:
            return False
        self._store.tell(settled.events)
        return settled.outcome is SettleOutcome.ORPHANED
