"""The agents in a room, as LiveKit itself says."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple, Self

import aiohttp
from livekit import api

from session_store.tasks import stop

_LOOK_EVERY_S: Final = 0.1


class Seen(NamedTuple):
    """The agents of a room at a moment (monotonic)."""

    at: float
    agents: frozenset[str]


class RoomWatch:
    """Looks into one room again and again, as long as it is entered as a context."""

    def __init__(self, livekit: api.LiveKitAPI, room: str) -> None:
        self._livekit = livekit
        self._room = room
        self._task: asyncio.Task[None] | None = None
        self.seen: list[Seen] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="room-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(self._task)

    @property
    def most(self) -> int:
        """The largest number of agents that were there at once."""
        return max((len(each.agents) for each in self.seen), default=0)

    def ever(self, after: float = 0.0) -> set[str]:
        """Return all agents that were there after a moment."""
        return {agent for each in self.seen if each.at > after for agent in each.agents}

    async def _watch(self) -> None:
        while True:
            try:
                agents = await agents_in(self._livekit, self._room)
            except (aiohttp.ClientError, TimeoutError, api.TwirpError, OSError):
                pass  # It is being restarted, or the room is closed.
            else:
                self.seen.append(Seen(time.monotonic(), frozenset(agents)))
            await asyncio.sleep(_LOOK_EVERY_S)


async def agents_in(livekit: api.LiveKitAPI, room: str) -> list[str]:
    """Return the identities of the agents in a room."""
    answer = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    return [
        each.identity
        for each in answer.participants
        if each.kind == api.ParticipantInfo.Kind.AGENT
        and each.state != api.ParticipantInfo.State.DISCONNECTED
    ]
