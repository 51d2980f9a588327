"""LiveKit's rooms for the gateway and the watchers: their occupants, and sending an agent.

LiveKit gives a room its agent when the room is made, and never another one. It loses dispatches in
silence, and shows the participant of a killed agent for some 20 s more. This module works around
that by LiveKit's API. Nothing here joins a room, so livekit-agents is not loaded.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from livekit import api
from livekit.protocol.agent_dispatch import JRP_NEVER

from session_store.livekit.rooms.api_calls import CALL_S, LiveKitFailed, ask, unless_gone
from session_store.livekit.rooms.kinds import TALKING
from session_store.livekit.rooms.pings import Pings
from session_store.meter import NO_METER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from session_store.livekit.rooms.dispatch import Dispatch
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

COMES_WITHIN_S: Final = 3.0
"""A dispatch without any effect by then was lost, and is repeated. (A worker accepts within 0.3 s.
Were two agents to come after all, one would find the lease held, and leave in silence.)"""
RETRY_S: Final = 0.5
AGENT: Final = "rj.agent"
"""Attribute that tells a page of an agent that will not come."""
GAVE_UP: Final = "gave_up"
ENDED: Final = "ended"
"""The agent has left this participant on purpose."""
_AGENT_NAME: Final = "lk.agent.name"
"""Attribute that a worker gives to its agents: the name under which it takes jobs."""
_ON_BEHALF: Final = "lk.publish_on_behalf"
"""Attribute of an avatar: the identity of its agent."""


@dataclass(frozen=True, slots=True)
class Occupants:
    """The participants of a room, as LiveKit shows them."""

    people: Mapping[str, Mapping[str, str]]
    """Attributes, by identity."""
    agents: tuple[str, ...]
    """Identities of the agents with the name that was asked for."""
    avatars: tuple[str, ...] = ()
    """Identities of the avatars that show and speak for these agents."""


class LiveKitRooms:
    """LiveKit's rooms. Use it as a context manager.

    Every method raises ``LiveKitFailed`` if LiveKit does not answer.
    """

    def __init__(self, url: str, key: str, secret: str, *, meter: Meter = NO_METER) -> None:
        self._meter = meter
        self._url = url
        self._key = key
        self._secret = secret
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S))
        self._livekit = api.LiveKitAPI(self._url, self._key, self._secret, session=self._session)
        self._pings = Pings(self._session, self._url, self._key, self._secret)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def reach(self) -> None:
        """Reach LiveKit with our key."""
        await ask(self._livekit.room.list_rooms(_named("-")))

    async def make(self, room: str, *, departure_timeout_s: int) -> None:
        """Make a room; a no-op if it exists."""
        request = api.CreateRoomRequest(
            name=room, empty_timeout=departure_timeout_s, departure_timeout=departure_timeout_s
        )
        await ask(self._livekit.room.create_room(request))

    async def look(self, room: str, agent_name: str) -> Occupants:
        """Return the occupants of a room; a room that does not exist is empty.

        Agents of another name belong to another application, and are left out.
        """
        request = api.ListParticipantsRequest(room=room)
        listed = (await ask(self._livekit.room.list_participants(request))).participants
        away = api.ParticipantInfo.State.DISCONNECTED
        return _occupants([info for info in listed if info.state != away], agent_name)

    async def exists(self, room: str) -> bool:
        """Return whether the room exists."""
        return bool((await ask(self._livekit.room.list_rooms(_named(room)))).rooms)

    async def newest_dispatch(self, room: str, agent_name: str) -> str | None:
        """Return the id of the last dispatch of an agent of this name; ``None``: there is none."""
        listed = await ask(self._livekit.agent_dispatch.list_dispatch(room))
        ours = [dispatch for dispatch in listed if dispatch.agent_name == agent_name]
        return max(ours, key=lambda dispatch: dispatch.state.created_at).id if ours else None

    async def can_ping(self) -> bool:
        """Return whether this LiveKit can ping participants; old ones cannot."""
        return await self._pings.are_known()

    async def any_answers(self, room: str, agents: Iterable[str]) -> bool:
        """Ping agents, all at once; return whether one lives, and talks or is about to.

        Raises:
            LiveKitFailed: LiveKit cannot say that. It does not mean that an agent is dead.
        """
        return await self._pings.any_answers(room, agents)

    async def bring(
        self, dispatch: Dispatch, occupants: Occupants, *, within_s: float, is_first: bool = False
    ) -> bool:
        """Send an agent, and send again if none comes; return whether one came.

        Args:
            dispatch: where, and with what.
            occupants: as they were seen in the room. The agents among them must not be heard any
                more, and are removed first: only an agent in the room can be heard.
            within_s: how long to retry.
            is_first: no agent of this name was there before. Else the job is told that it is a
                successor.
        """
        if not is_first:
            dispatch = dispatch.as_successor()
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        reason = ""
        while loop.time() + COMES_WITHIN_S < until or not reason:
            if reason:
                self._meter.dispatch_repeated()
            try:
                has_come = await self._send(dispatch, occupants)
            except LiveKitFailed as error:
                reason = str(error)
                await asyncio.sleep(RETRY_S)
                continue
            if has_come is not None:
                return has_come
            reason = "no worker has taken it"
        logger.warning(
            "an agent was sent, but none came; is a worker running, and free?",
            extra={"room": dispatch.room, "reason": reason},
        )
        return False

    async def clear(self, room: str, occupants: Occupants) -> None:
        """Remove the agents that were seen in a room, and their avatars."""
        ghosts = (*occupants.agents, *occupants.avatars)
        await asyncio.gather(*(self._remove(room, ghost) for ghost in ghosts))

    async def tell_people(self, room: str, occupants: Occupants, agent: str) -> None:
        """Set the ``AGENT`` attribute of the pages: ``GAVE_UP``, or "" once that is over."""
        for identity, attributes in occupants.people.items():
            if attributes.get(AGENT, "") != agent:
                request = api.UpdateParticipantRequest(
                    room=room, identity=identity, attributes={AGENT: agent}
                )
                await unless_gone(self._livekit.room.update_participant(request))

    async def _send(self, dispatch: Dispatch, before: Occupants) -> bool | None:
        """Send an agent once; return whether it came, or ``None`` if it has to be sent again."""
        room = dispatch.room
        await self.clear(room, before)
        dispatch_id = await self._dispatch(dispatch)
        await self.tell_people(room, before, "")
        await asyncio.sleep(COMES_WITHIN_S)
        now = await self.look(room, dispatch.agent_name)
        if set(now.agents) - set(before.agents):
            return True
        if before.people and not now.people:
            return False  # They have left.
        if not await self.exists(room):
            return False  # Another dispatch would make the room again.
        return True if await self._was_taken(room, dispatch_id) else None

    async def _remove(self, room: str, agent: str) -> None:
        ghost = api.RoomParticipantIdentity(room=room, identity=agent)
        await unless_gone(self._livekit.room.remove_participant(ghost))

    async def _dispatch(self, dispatch: Dispatch) -> str:
        request = api.CreateAgentDispatchRequest(
            room=dispatch.room,
            agent_name=dispatch.agent_name,
            metadata=dispatch.metadata,
            attributes=dispatch.attributes,
            deployment=dispatch.deployment,
            # By default LiveKit Cloud sends another agent when a job fails: a second successor.
            restart_policy=JRP_NEVER,
        )
        return (await ask(self._livekit.agent_dispatch.create_dispatch(request))).id

    async def _was_taken(self, room: str, dispatch_id: str) -> bool:
        """Return whether a worker is about to start the agent.

        LiveKit shows that at once, or only after 5 s if it has just asked for its workers' names.
        """
        found = await ask(self._livekit.agent_dispatch.get_dispatch(dispatch_id, room))
        return found is not None and bool(found.state.jobs)


def _occupants(present: Iterable[api.ParticipantInfo], agent_name: str) -> Occupants:
    infos = list(present)
    agents = {
        info.identity
        for info in infos
        if info.kind == api.ParticipantInfo.Kind.AGENT
        and info.attributes.get(_AGENT_NAME) == agent_name
    }
    return Occupants(
        people={info.identity: dict(info.attributes) for info in infos if info.kind in TALKING},
        agents=tuple(agents),
        avatars=tuple(info.identity for info in infos if info.attributes.get(_ON_BEHALF) in agents),
    )


def _named(room: str) -> api.ListRoomsRequest:
    return api.ListRoomsRequest(names=[room])
