"""The room of a session: where its agent belongs, and whether its participant waits there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.backends.values import SessionRef
from session_store.errors import InvalidValue
from session_store.livekit.rooms.anonymous import is_the_one, name_in_store
from session_store.livekit.rooms.dispatch import Dispatch, Errand
from session_store.livekit.rooms.rooms import AGENT, ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.livekit.rooms.rooms import LiveKitRooms, Occupants
    from session_store.models import Place
    from session_store.store import SessionStore
    from session_store.values import Loaded

    People = Mapping[str, Mapping[str, str]]
    """Attributes, by identity."""

NEWEST: Final = 5
"""How many of a participant's sessions are looked at: each agent may have one of its own."""


class SessionRoom(NamedTuple):
    """The room where a session's agent belongs."""

    dispatch: Dispatch
    """What sends an agent there."""
    occupants: Occupants
    is_awaited: bool = True
    """Whether the participant is there, and its agent has not left it on purpose."""
    is_certain: bool = True
    """False if the participant may wait in another room, which the session does not name."""


class RoomFinder:
    """Finds rooms by sessions, and sessions by rooms."""

    def __init__(self, store: SessionStore, rooms: LiveKitRooms, *, agent_name: str) -> None:
        """Make a finder.

        Args:
            store: the sessions.
            rooms: LiveKit's rooms.
            agent_name: name of the agent to send where none was before.
        """
        self._store = store
        self._rooms = rooms
        self._agent_name = agent_name

    async def at(
        self, dispatch: Dispatch, session: SessionRef, *, place: Place | None = None
    ) -> SessionRoom:
        """Look at the room of a dispatch, for the participant of a session.

        Args:
            dispatch: where to look, and what sends an agent there.
            session: the session.
            place: as a job has written it down, if one has. It knows under which name LiveKit
                knows the participant. Without it, that is found by its pseudonym.
        """
        occupants = await self._rooms.look(dispatch.room, dispatch.agent_name)
        people, served = _served(occupants), place or Errand.of(dispatch)
        found = self._find_in(people, session.participant, served)
        if found is None and people and served is None:
            served = await self._written_down(dispatch.room, session)
            found = self._find_in(people, session.participant, served)
        if found is None:
            return SessionRoom(dispatch, occupants, is_awaited=False)
        errand = Errand(*session, identity=found, call=served.call if served else "")
        return SessionRoom(dispatch.on(errand), occupants)

    async def find(self, session: SessionRef) -> SessionRoom:
        """Find where the participant waits: where the newest job was, or in a room before that."""
        loaded = await self._store.load(*session, last=0)
        if loaded is None or not loaded.session.content.places:
            return await self._find_before_join(session, loaded)
        newest, *older = loaded.session.content.places
        there = first = await self._at_place(newest, session)
        for place in older:
            if there.is_awaited:
                break
            there = await self._at_place(place, session)
        known = {place.room for place in (newest, *older)}
        if not there.is_awaited and session.session_id not in known:
            there = await self._find_before_join(session, loaded)
        return there if there.is_awaited else first

    async def _at_place(self, place: Place, session: SessionRef) -> SessionRoom:
        return await self.at(Dispatch.of_place(place), session, place=place)

    async def _find_before_join(self, session: SessionRef, loaded: Loaded | None) -> SessionRoom:
        """Look in the gateway's room, for a session of which no job has said where it is.

        Other gateways name their rooms differently, and a job that dies at once has not written
        down where it was. Such a session is left to the worker of that job, or to another look. So
        is one of another agent: its name is not known here.
        """
        there = await self.at(Dispatch.for_session(*session, self._agent_name), session)
        if loaded and not self._store.is_in_scope(loaded.session, self._agent_name):
            return there._replace(is_awaited=False, is_certain=False)
        if there.is_awaited:
            return there
        return there._replace(is_certain=await self._rooms.exists(session.session_id))

    async def without_agent(
        self, session_room: SessionRoom, *, ghost: str | None = None
    ) -> SessionRoom | None:
        """Return the room if no agent lives there; ``None`` if one answers a ping.

        Args:
            session_room: the room, as it was found.
            ghost: identity of an agent that is known to be dead. It is not asked, and is among
                the agents to remove even if LiveKit does not show it yet.

        Raises:
            LiveKitFailed: LiveKit cannot say whether an agent lives.
        """
        dispatch, occupants = session_room.dispatch, session_room.occupants
        others = tuple(agent for agent in occupants.agents if agent != ghost)
        if await self._rooms.any_answers(dispatch.room, others):
            return None
        agents = others if ghost is None else (ghost, *others)
        return session_room._replace(occupants=replace(occupants, agents=agents))

    async def kept_in(
        self, dispatch: Dispatch, owner: str, *, room_sid: str = ""
    ) -> list[SessionRef]:
        """Find the sessions that a job had in a room, by the participants who are still there.

        Args:
            dispatch: what sent the job there.
            owner: the nonce under which the job held its leases.
            room_sid: LiveKit's id of that very room, if it is known.
        """
        served = _served(await self._rooms.look(dispatch.room, dispatch.agent_name))
        names = [name_in_store(*each, room_sid) for each in served.items()]
        sessions = []
        for participant in filter(None, map(self._pseudonym, names)):
            newest = await self._store.sessions(participant, limit=NEWEST)
            for session in newest.sessions:
                places = session.content.places
                if (
                    places[0].room == dispatch.room
                    if places
                    else await self._is_held(participant, session.id, owner)
                ):
                    sessions.append(SessionRef(participant, session.id))
                    break
        return sessions

    async def _is_held(self, participant: str, session_id: str, owner: str) -> bool:
        return await self._store.is_owned(participant, session_id, owner)

    async def _written_down(self, room: str, session: SessionRef) -> Place | None:
        """Return what a job in this room has written down about the session's participant."""
        loaded = await self._store.load(*session, last=0)
        places = loaded.session.content.places if loaded else ()
        return next((place for place in places if place.room == room), None)

    def _find_in(
        self, people: People, participant: str, served: Place | Errand | None
    ) -> str | None:
        """Return the identity of a participant who is there; ``None`` if it is not."""
        for identity, attributes in people.items():
            is_the_same = served is not None and is_the_one(
                identity, attributes, served=served.identity, served_call=served.call
            )
            name = self._pseudonym(name_in_store(identity, attributes, ""))
            if is_the_same or participant in {identity, name}:
                return identity
        return None

    def _pseudonym(self, identity: str) -> str | None:
        """Return the pseudonym of an identity; ``None`` if the identity is not valid."""
        try:
            return self._store.pseudonym(identity)
        except InvalidValue:
            return None


def _served(occupants: Occupants) -> People:
    """Return the people whose conversation goes on."""
    people = occupants.people.items()
    return {who: attributes for who, attributes in people if attributes.get(AGENT) != ENDED}
