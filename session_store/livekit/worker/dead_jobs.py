"""Jobs of one's own worker that have ended: they are dead for certain, so nobody waits for leases.

A clean end counts too: whoever is still there needs an agent, however the last one went.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.backends.values import AgentPresence
from session_store.errors import StoreRefused, StoreUnavailable
from session_store.keys import CRASH_WINDOW
from session_store.livekit.rooms.rooms import LiveKitFailed
from session_store.tasks import Outage

if TYPE_CHECKING:
    from session_store.backends.values import SessionRef
    from session_store.livekit.rooms.rooms import Dispatch, LiveKitRooms
    from session_store.livekit.worker.dispatcher import Sender
    from session_store.livekit.worker.room_finder import Finder, Found
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
    agent: str
    """Its identity in the room."""
    dispatch: Dispatch
    """What brought it."""
    dispatch_id: str
    session: SessionRef | None
    """Whose conversation it had; ``None`` where the dispatch does not say."""


class DeadJobs:
    """Sees to those whom dead jobs leave alone."""

    def __init__(
        self, store: SessionStore, rooms: LiveKitRooms, finder: Finder, sender: Sender
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._finder = finder
        self._sender = sender
        self._unclaimed: dict[str, float] = {}
        """By room, until when no other agent is sent there without a claim."""

    async def replace(self, dead: DeadJob) -> None:
        """See to whom a job talked before it ended; perhaps nobody waits any more.

        While store or LiveKit do not answer, it is tried again.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        idempotency_key = secrets.token_hex(8)
        outage = Outage(logger, "a successor", dead.session.session_id if dead.session else "")
        while True:
            try:
                is_away = loop.time() - begun > STORE_AWAY_S
                if not (is_away and await self._replace_without_store(dead)):
                    await self._replace(dead, idempotency_key)
            except (LiveKitFailed, StoreUnavailable, StoreRefused) as error:
                if loop.time() - begun > REMEMBERED_S:
                    raise
                await outage.pause(error)
            else:
                return

    async def _replace(self, dead: DeadJob, idempotency_key: str) -> None:
        if dead.session is not None:
            sessions = [dead.session]
        else:
            sessions = await self._finder.kept_in(dead.dispatch, dead.owner)
        for session in sessions:
            found = await self._find_alone(dead, session)
            if found and found.waits and (wait_s := self._sender.cap.take()):
                await asyncio.sleep(wait_s)
                found = await self._find_alone(dead, session)
            if found is None:
                continue
            presence = await self._store.claim_orphan(
                *session, owner=dead.owner, absent=not found.waits, idempotency_key=idempotency_key
            )
            if presence is AgentPresence.EXPECTED and await self._was_expected(dead, found):
                presence = AgentPresence.WANTED
            await self._sender.act_on(presence, session, found, "job_died")

    async def _replace_without_store(self, dead: DeadJob) -> bool:
        """Send a successor though nobody can claim to; tell whether there is nothing left to do.

        Its conversation begins without the store, like any other; should another agent be there,
        it leaves. Once a minute for each room: without the store nobody counts how often they die.
        """
        try:
            await self._store.ping()
        except (StoreUnavailable, StoreRefused):
            pass
        else:
            return False
        # Who is not known by the dispatch cannot be told from a bystander without the store.
        if dead.session is None or not self._may_send_unclaimed(dead.dispatch.room):
            return False
        found = await self._find_alone(dead, dead.session)
        if found is None:
            return True
        if not found.waits:
            return False
        self._note_unclaimed(dead.dispatch.room, CRASH_WINDOW.total_seconds())
        logger.warning("the store is away; its word is not waited for")
        await self._sender.act_on(AgentPresence.WANTED, dead.session, found, "job_died")
        return True

    async def _find_alone(self, dead: DeadJob, session: SessionRef) -> Found | None:
        """Look at a dead job's room; ``None`` if another agent than its ghost lives there."""
        found = await self._finder.at(dead.dispatch, session)
        others = [agent for agent in found.there.agents if agent != dead.agent]
        if await self._rooms.any_answers(dead.dispatch.room, others):
            return None
        # The ghost is removed even if LiveKit does not show it yet.
        return found._replace(there=replace(found.there, agents=(dead.agent, *others)))

    async def _was_expected(self, dead: DeadJob, found: Found) -> bool:
        """Tell whether it is this very job for which the others wait: it died before its join.

        Once per room while a claim lasts: a job that dies at once again is overdue like any other.
        """
        room, agent_name, _ = dead.dispatch
        if not found.waits or not self._may_send_unclaimed(room):
            return False
        if await self._rooms.newest_dispatch(room, agent_name) != dead.dispatch_id:
            return False
        self._note_unclaimed(room, self._sender.expected_s)
        return True

    def _may_send_unclaimed(self, room: str) -> bool:
        now = asyncio.get_running_loop().time()
        self._unclaimed = {each: at for each, at in self._unclaimed.items() if at > now}
        return room not in self._unclaimed

    def _note_unclaimed(self, room: str, for_s: float) -> None:
        self._unclaimed[room] = asyncio.get_running_loop().time() + for_s
