"""Jobs of this worker that have ended. They are certainly dead, so no lease has to run out first.

A clean end counts too: a participant who is still in the room needs an agent, for whatever reason
the last job ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.backends.values import AgentPresence, SessionRef
from session_store.errors import StoreRefused, StoreUnavailable
from session_store.keys import CRASH_WINDOW
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.dispatch import Dispatch, Errand
from session_store.livekit.rooms.recent_dispatches import RecentDispatches
from session_store.tasks import Outage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from livekit.agents.job import RunningJobInfo

    from session_store.livekit.rooms.rooms import LiveKitRooms
    from session_store.livekit.worker.dispatcher import Dispatcher
    from session_store.livekit.worker.room_finder import RoomFinder, SessionRoom
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

STORE_AWAY_S: Final = 1.0
"""How long a successor waits for an unreachable store before it is sent without a claim."""
REMEMBERED_S: Final = 300.0
"""How long a dead job is remembered while the store or LiveKit is unreachable. By then its lease
has run out, and the sweep finds the session."""


class DeadJob(NamedTuple):
    """A job that has ended, cleanly or not."""

    owner: str
    """The nonce under which the job held its lease; see ``SessionStore.owner_of``."""
    agent: str
    """Its identity in the room."""
    dispatch: Dispatch
    """What had sent it."""
    dispatch_id: str
    session: SessionRef | None
    """The session of its conversation; ``None`` if the dispatch does not name one."""
    room_sid: str = ""
    """LiveKit's id of its very room; another room may have the same name."""

    @classmethod
    def of(cls, store: SessionStore, info: RunningJobInfo) -> DeadJob:
        """Describe a job that has ended, from what LiveKit's worker knew of it."""
        job = info.job
        dispatch = Dispatch.of_job(job)
        errand = Errand.of(dispatch)
        return cls(
            owner=store.owner_of(info.worker_id, job.id),
            agent=info.accept_arguments.identity,
            dispatch=dispatch,
            dispatch_id=job.dispatch_id,
            session=SessionRef(errand.participant, errand.session_id) if errand else None,
            room_sid=job.room.sid,
        )


class RunningJobs:
    """The jobs of this worker, compared from one look to the next."""

    def __init__(self) -> None:
        self._running: dict[str, RunningJobInfo] = {}

    def ended(self, active: Iterable[RunningJobInfo]) -> list[RunningJobInfo]:
        """Note which jobs run now; return those that ran at the last look and do not any more."""
        before = self._running
        # No agent can be sent to the room of a console job.
        self._running = {info.job.id: info for info in active if not info.fake_job}
        return [info for job_id, info in before.items() if job_id not in self._running]


class DeadJobs:
    """Replaces jobs that have ended."""

    def __init__(
        self, store: SessionStore, rooms: LiveKitRooms, finder: RoomFinder, dispatcher: Dispatcher
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._finder = finder
        self._dispatcher = dispatcher
        self._unclaimed = RecentDispatches()

    async def replace(self, dead: DeadJob) -> None:
        """Replace a dead job, unless its participant has left.

        While the store or LiveKit is unreachable, it retries for ``REMEMBERED_S``.

        Raises:
            LiveKitFailed, StoreUnavailable, StoreRefused: the last retry failed, too.
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
        for session in await self._sessions_of(dead):
            session_room = await self._find_in_turn(dead, session)
            if session_room is None:
                continue
            presence = await self._store.claim_orphan(
                *session,
                owner=dead.owner,
                absent=not session_room.is_awaited,
                idempotency_key=idempotency_key,
                room=session_room.dispatch.room if session_room.is_awaited else "",
            )
            if presence is AgentPresence.EXPECTED and await self._was_expected(dead, session_room):
                presence = AgentPresence.WANTED
            await self._dispatcher.act_on(presence, session, session_room, "job_died")

    async def _sessions_of(self, dead: DeadJob) -> list[SessionRef]:
        if dead.session is not None:
            return [dead.session]
        return await self._finder.kept_in(dead.dispatch, dead.owner, room_sid=dead.room_sid)

    async def _find_in_turn(self, dead: DeadJob, session: SessionRef) -> SessionRoom | None:
        """Look at the room; where an agent may be sent only later, wait and look again."""
        session_room = await self._find_alone(dead, session)
        if session_room and session_room.is_awaited:
            wait_s = self._dispatcher.rate_limit.reserve()
            if wait_s:
                await asyncio.sleep(wait_s)
                return await self._find_alone(dead, session)
        return session_room

    async def _find_alone(self, dead: DeadJob, session: SessionRef) -> SessionRoom | None:
        """Look at a dead job's room; ``None`` if another agent than its ghost lives there."""
        session_room = await self._finder.at(dead.dispatch, session)
        return await self._finder.without_agent(session_room, ghost=dead.agent)

    async def _replace_without_store(self, dead: DeadJob) -> bool:
        """Send a successor without a claim; return whether nothing is left to do.

        The successor's conversation begins without the store. If another agent is in the room, the
        successor leaves. Without the store nothing counts how often the agents of a session die,
        so each room is sent one agent a minute at most.
        """
        if await self._store_answers():
            return False
        # The store alone can tell a participant that the dispatch does not name from a bystander.
        if dead.session is None or dead.dispatch.room in self._unclaimed:
            return False
        session_room = await self._find_alone(dead, dead.session)
        if session_room is None:
            return True
        if not session_room.is_awaited:
            return False
        self._unclaimed.add(dead.dispatch.room, for_s=CRASH_WINDOW.total_seconds())
        logger.warning("store unreachable: dispatching a successor without a claim")
        wanted = AgentPresence.WANTED
        await self._dispatcher.act_on(wanted, dead.session, session_room, "job_died")
        return True

    async def _store_answers(self) -> bool:
        try:
            await self._store.ping()
        except (StoreUnavailable, StoreRefused):
            return False
        return True

    async def _was_expected(self, dead: DeadJob, session_room: SessionRoom) -> bool:
        """Return whether the store still expects this very job, which died before its join.

        True once per room while a claim lasts. A job that dies at once again is overdue like any
        other.
        """
        room, agent_name = dead.dispatch.room, dead.dispatch.agent_name
        if not session_room.is_awaited or room in self._unclaimed:
            return False
        if await self._rooms.newest_dispatch(room, agent_name) != dead.dispatch_id:
            return False
        self._unclaimed.add(room, for_s=self._dispatcher.expected_s)
        return True
