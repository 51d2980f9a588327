"""The room of a session: where its agent belongs, and whether its participant waits there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from session_store.backends.values import SessionRef
from session_store.errors import InvalidValue
from session_store.livekit.rooms.anonymous import is_the_one, name_in_store
from session_store.livekit.rooms.dispatch import Dispatch
from session_store.livekit.rooms.rooms import AGENT, ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.livekit.rooms.rooms import LiveKitRooms, Occupants
    from session_store.store import SessionStore

    People = Mapping[str, Mapping[str, str]]
    """Attributes, by identity."""


class SessionRoom(NamedTuple):
    """The room where a session's agent belongs."""

    dispatch: Dispatch
    """What sends an agent there."""
    occupants: Occupants
    is_awaited: bool
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

    async def at(self, dispatch: Dispatch, session: SessionRef) -> SessionRoom:
        """Look at the room of a dispatch, for the participant of a session."""
        occupants = await self._rooms.look(dispatch.room, dispatch.agent_name)
        served = _served(occupants)
        is_awaited = self._is_one_of(served, session.participant)
        if served and not is_awaited:
            is_awaited = await self._was_served(served, dispatch.room, session)
        return SessionRoom(dispatch, occupants, is_awaited)

    async def find(self, session: SessionRef) -> SessionRoom:
        """Find where the participant waits: in the gateway's room, or where the last job was."""
        session_room = await self.at(Dispatch.for_session(*session, self._agent_name), session)
        if session_room.is_awaited:
            return session_room
        loaded = await self._store.load(*session, last=0)
        place = loaded.session.content.place if loaded else None
        if place is not None:
            return await self.at(Dispatch(place.room, place.agent_name, place.metadata), session)
        # Other gateways name their rooms differently, and a job that dies at once has not written
        # down where it was.
        return session_room._replace(is_certain=await self._rooms.exists(session.session_id))

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

    def _is_one_of(self, people: People, participant: str) -> bool:
        """Return whether the participant is there, under its pseudonym or its identity."""
        return any(
            participant in {identity, self._pseudonym(name_in_store(identity, attributes, ""))}
            for identity, attributes in people.items()
        )

    async def _was_served(self, people: People, room: str, session: SessionRef) -> bool:
        """Return whether the last job served one of these people, under whatever name."""
        loaded = await self._store.load(*session, last=0)
        place = loaded.session.content.place if loaded else None
        return (
            place is not None
            and place.room == room
            and any(
                is_the_one(*each, served=place.identity, served_call=place.call)
                for each in people.items()
            )
        )

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
