"""LiveKit's rooms as gateway and watchers need them: looked at, and sent an agent, from outside.

LiveKit gives a room its agent when the room is made, and never another one. It loses dispatches
in silence, and shows the participant of a killed agent for some 20 s more. This is what can be
done about it through LiveKit's API. Nothing here joins a room, so livekit-agents is not loaded.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

import aiohttp
from livekit import api
from livekit.api.twirp_client import TwirpClient
from livekit.protocol.room import PerformRpcRequest, PerformRpcResponse

from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

CALL_S: Final = 5.0
"""Bound on each call. LiveKit itself gives up on a participant that it cannot reach after 3 s."""
PING: Final = "rj.ping"
"""The RPC method that a job with a conversation answers; see ``liveness``."""
HERE: Final = "here"
PING_S: Final = 0.6
"""How long an agent may take to answer. On one machine a living one takes 3 ms (p99 5 ms)."""
PING_AGAIN_S: Final = 0.2
"""After this a second ping follows: LiveKit can lose the answer to one that comes too fast."""
COMES_WITHIN_S: Final = 3.0
"""A dispatch of which nothing is seen by then was lost, and is repeated. (A worker accepts within
0.3 s. Were two to come after all, one would find the lease held, and leave in silence.)"""
RETRY_S: Final = 0.5
AGENT: Final = "rj.agent"
"""Attribute that tells a page of an agent that will not come."""
GAVE_UP: Final = "gave_up"
_AGENT_NAME: Final = "lk.agent.name"
"""Attribute that LiveKit gives to an agent: the name that it was dispatched by."""
_PEOPLE: Final = frozenset({api.ParticipantInfo.Kind.STANDARD, api.ParticipantInfo.Kind.SIP})
_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError, api.TwirpError)


class LiveKitFailed(Exception):
    """LiveKit did not answer, or refused. The text may name a room, never a person."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.not_found: Final = (
            isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND
        )


class Dispatch(NamedTuple):
    """Where an agent is sent, and with what."""

    room: str
    agent_name: str
    metadata: str

    @classmethod
    def for_session(cls, participant: str, session_id: str, agent_name: str) -> Self:
        """Return the dispatch of a session that the gateway opened: its room has its id."""
        metadata = json.dumps({"participant": participant, "session_id": session_id})
        return cls(session_id, agent_name, metadata)


@dataclass(frozen=True, slots=True)
class Occupants:
    """Who is in a room."""

    people: Mapping[str, Mapping[str, str]]
    """Attributes, by identity."""
    agents: tuple[str, ...]
    """Identities, of those that go by the name that was asked for."""


class LiveKitRooms:
    """What is done with rooms. Use it as a context manager.

    Every method raises ``LiveKitFailed`` where LiveKit does not answer.
    """

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._key = key
        self._secret = secret
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S))
        self._livekit = api.LiveKitAPI(self._url, self._key, self._secret, session=self._session)
        self._twirp = TwirpClient(self._session, self._url, "livekit")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def reach(self) -> None:
        """Reach LiveKit with our key."""
        await _ask(self._livekit.room.list_rooms(api.ListRoomsRequest(names=["-"])))

    async def make(self, room: str, *, departure_timeout_s: int) -> None:
        """Make a room; a no-op where it is there."""
        request = api.CreateRoomRequest(
            name=room, empty_timeout=departure_timeout_s, departure_timeout=departure_timeout_s
        )
        await _ask(self._livekit.room.create_room(request))

    async def look(self, room: str, agent_name: str) -> Occupants:
        """Look who is there; nobody is in a room that does not exist.

        Agents of another name are somebody else's, and are not among the answer's.
        """
        request = api.ListParticipantsRequest(room=room)
        listed = (await _ask(self._livekit.room.list_participants(request))).participants
        there = [each for each in listed if each.state != api.ParticipantInfo.State.DISCONNECTED]
        return Occupants(
            people={each.identity: dict(each.attributes) for each in there if each.kind in _PEOPLE},
            agents=tuple(
                each.identity
                for each in there
                if each.kind == api.ParticipantInfo.Kind.AGENT
                and each.attributes.get(_AGENT_NAME, agent_name) == agent_name
            ),
        )

    async def any_answers(self, room: str, agents: Iterable[str]) -> bool:
        """Ping agents, all at once; tell whether one of them lives and has a conversation."""
        return await _any_of(self._ping(room, agent) for agent in agents)

    async def bring(self, dispatch: Dispatch, there: Occupants, *, within_s: float) -> bool:
        """Send an agent, and again where none came; tell whether one did.

        Args:
            dispatch: where, and with what.
            there: who was seen there. Its agents must not be heard any more, and are removed
                first: being in the room is the fence for sound.
            within_s: for how long to try.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        reason = ""
        while loop.time() + COMES_WITHIN_S < until or not reason:
            try:
                await asyncio.gather(*(self._remove(dispatch.room, each) for each in there.agents))
                dispatch_id = await self._dispatch(dispatch)
                await self.tell_people(dispatch.room, there, "")
                await asyncio.sleep(COMES_WITHIN_S)
                now = await self.look(dispatch.room, dispatch.agent_name)
                if set(now.agents) - set(there.agents):
                    return True
                if there.people and not now.people:
                    return False  # Another dispatch would make the room again.
                if await self._was_taken(dispatch.room, dispatch_id):
                    return True
                reason = "no worker has taken it"
            except LiveKitFailed as error:
                reason = str(error)
                await asyncio.sleep(RETRY_S)
        logger.warning(
            "an agent was sent, but none came; is a worker running, and free?",
            extra={"room": dispatch.room, "reason": reason},
        )
        return False

    async def tell_people(self, room: str, there: Occupants, agent: str) -> None:
        """Tell pages that have not heard it: ``GAVE_UP``, or "" where that is over."""
        for identity, attributes in there.people.items():
            if attributes.get(AGENT, "") != agent:
                request = api.UpdateParticipantRequest(
                    room=room, identity=identity, attributes={AGENT: agent}
                )
                await _unless_gone(self._livekit.room.update_participant(request))

    async def _ping(self, room: str, agent: str) -> bool:
        return await _any_of(self._ask_agent(room, agent, after) for after in (0.0, PING_AGAIN_S))

    async def _ask_agent(self, room: str, agent: str, after_s: float) -> bool:
        await asyncio.sleep(after_s)
        request = PerformRpcRequest(
            room=room,
            destination_identity=agent,
            method=PING,
            response_timeout_ms=round((PING_S - after_s) * 1000),
        )
        grants = api.VideoGrants(room_admin=True, room=room)
        token = api.AccessToken(self._key, self._secret).with_grants(grants).to_jwt()
        headers = {"authorization": f"Bearer {token}"}
        try:
            answer = await self._twirp.request(
                "RoomService", "PerformRpc", request, headers, PerformRpcResponse
            )
        except api.TwirpError:
            # It did not answer in time, is gone, or has no conversation (any more).
            return False
        except _ERRORS as error:
            raise LiveKitFailed(error) from error
        return answer.payload == HERE

    async def _remove(self, room: str, agent: str) -> None:
        ghost = api.RoomParticipantIdentity(room=room, identity=agent)
        await _unless_gone(self._livekit.room.remove_participant(ghost))

    async def _dispatch(self, dispatch: Dispatch) -> str:
        request = api.CreateAgentDispatchRequest(
            room=dispatch.room, agent_name=dispatch.agent_name, metadata=dispatch.metadata
        )
        return (await _ask(self._livekit.agent_dispatch.create_dispatch(request))).id

    async def _was_taken(self, room: str, dispatch_id: str) -> bool:
        """Tell whether a worker is about to start the agent.

        LiveKit shows that at once, or only after 5 s if it has just asked for its workers' names.
        """
        found = await _ask(self._livekit.agent_dispatch.get_dispatch(dispatch_id, room))
        return found is not None and bool(found.state.jobs)


async def _ask(call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except _ERRORS as error:
        raise LiveKitFailed(error) from error


async def _unless_gone(call: Awaitable[Any]) -> None:
    """Do something to what may have just gone by itself, which is as good."""
    try:
        await _ask(call)
    except LiveKitFailed as error:
        if not error.not_found:
            raise


async def _any_of(questions: Iterable[Awaitable[bool]]) -> bool:
    """Ask at once; the first yes is the answer."""
    asked = [asyncio.ensure_future(question) for question in questions]
    try:
        for answer in asyncio.as_completed(asked):
            if await answer:
                return True
        return False
    finally:
        await stop(*asked)
