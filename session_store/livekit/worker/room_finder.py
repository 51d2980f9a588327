"""Where a session's agent belongs, and whether its participant waits there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from session_store.backends.values import SessionRef
from session_store.errors import InvalidValue
from session_store.livekit.rooms.rooms import Dispatch, Occupants

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.livekit.rooms.rooms import LiveKitRooms
    from session_store.store import SessionStore


class Found(NamedTuple):
    """Where a session's agent belongs."""

    dispatch: Dispatch
    """What brings one."""
    there: Occupants
    waits: bool
    """Whether the participant is there."""
    certain: bool = True
    """False: it may wait in a room that nothing tells of."""


class Finder:
    """Finds rooms by sessions, and sessions by rooms."""

    def __init__(self, store: SessionStore, rooms: LiveKitRooms, *, agent_name: str) -> None:
        """Make it.

        Args:
            store: where sessions are.
            rooms: where people and agents are.
            agent_name: of the agents to send where none was before.
        """
        self._store = store
        self._rooms = rooms
        self._agent_name = agent_name

    async def at(self, dispatch: Dispatch, session: SessionRef) -> Found:
        """Look whether a session's participant waits where its agent was sent."""
        there = await self._rooms.look(dispatch.room, dispatch.agent_name)
        return Found(dispatch, there, self._is_one_of(there.people, session.participant))

    async def find(self, session: SessionRef) -> Found:
        """Find where the participant waits: in the gateway's room, or where the last job was."""
        found = await self.at(Dispatch.for_session(*session, self._agent_name), session)
        if found.waits:
            return found
        loaded = await self._store.load(*session, last=0)
        place = loaded.session.content.place if loaded else None
        if place is not None:
            return await self.at(Dispatch(place.room, place.agent_name, place.metadata), session)
        # Others name their rooms otherwise, and a job that dies at once has not said where it was.
        return found._replace(certain=await self._rooms.exists(session.session_id))

    async def kept_in(self, dispatch: Dispatch, owner: str) -> list[SessionRef]:
        """Find the sessions that a job had in this room, by who is still there.

        Args:
            dispatch: what had brought the job.
            owner: as which it held its leases.
        """
        there = await self._rooms.look(dispatch.room, dispatch.agent_name)
        sessions = []
        for participant in filter(None, map(self._pseudonym, there.people)):
            for session in (await self._store.sessions(participant, limit=1)).sessions:
                place = session.content.place
                if (
                    place.room == dispatch.room
                    if place is not None
                    else await self._is_held(participant, session.id, owner)
                ):
                    sessions.append(SessionRef(participant, session.id))
        return sessions

    async def _is_held(self, participant: str, session_id: str, owner: str) -> bool:
        return await self._store.is_owned(participant, session_id, owner)

    def _is_one_of(self, people: Iterable[str], participant: str) -> bool:
        """Tell whether the participant is there: by its pseudonym, or by the name behind it."""
        return any(participant in {each, self._pseudonym(each)} for each in people)

    def _pseudonym(self, identity: str) -> str | None:
        """Return the pseudonym of whoever is in a room; ``None`` for whom the store cannot name."""
        try:
            return self._store.pseudonym(identity)
        except InvalidValue:
            return None
