"""A caller of a LiveKit project without our gateway and page: a plain token, a room, and text."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from livekit import api, rtc

from dev.rig.net import NET_S

if TYPE_CHECKING:
    from dev.rig.livekit import LiveKitServer

TYPED = "lk.chat"
SPOKEN = "lk.transcription"


class Answer(NamedTuple):
    """What an agent said in a room, and when (monotonic)."""

    at: float
    agent: str
    text: str


class Caller:
    """Enters one room under one identity, as LiveKit's own starters do. Use it as a context."""

    def __init__(
        self,
        livekit: LiveKitServer,
        room: str,
        identity: str,
        *,
        agent_name: str | None = None,
        metadata: str = "",
        **attributes: str,
    ) -> None:
        """Make a caller, who is still to come.

        Args:
            livekit: the server.
            room: its room.
            identity: the name that its token carries.
            agent_name: which agent the token asks for; ``None`` for none.
            metadata: of that dispatch.
            attributes: of that dispatch.
        """
        self._livekit = livekit
        self.name = room
        self.identity = identity
        self._agents = (
            []
            if agent_name is None
            else [
                api.RoomAgentDispatch(
                    agent_name=agent_name, metadata=metadata, attributes=attributes
                )
            ]
        )
        self.room = rtc.Room()
        self.answers: list[Answer] = []
        self._reading: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        token = (
            api.AccessToken(self._livekit.key, self._livekit.secret)
            .with_identity(self.identity)
            .with_grants(api.VideoGrants(room_join=True, room=self.name))
            .with_room_config(api.RoomConfiguration(agents=self._agents))
        )
        self.room.register_text_stream_handler(SPOKEN, self._begin_to_read)
        await self.room.connect(self._livekit.url, token.to_jwt())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Leave the room."""
        await self.room.disconnect()

    @property
    def agents(self) -> list[str]:
        """Identities of the agents in the room, as this caller sees it."""
        return [
            each.identity
            for each in self.room.remote_participants.values()
            if each.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        ]

    async def say(self, text: str) -> float:
        """Type something; return when (monotonic)."""
        at = time.monotonic()
        await self.room.local_participant.send_text(text, topic=TYPED)
        return at

    async def ask(self, text: str, answer: str) -> Answer:
        """Type something, and wait until an agent has answered this."""
        return await self.hears(answer, after=await self.say(text))

    async def hears(self, text: str, *, after: float = 0.0) -> Answer:
        """Wait until an agent has said this.

        Raises:
            AssertionError: none has, and what was said instead.
        """
        try:
            async with asyncio.timeout(NET_S):
                while True:
                    for answer in self.answers:
                        if answer.at > after and answer.text == text:
                            return answer
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"nobody said {text!r}, but: {self.answers}") from None

    async def until_served(self) -> float:
        """Wait until an agent is in the room; return when (monotonic)."""
        async with asyncio.timeout(NET_S):
            while not self.agents:
                await asyncio.sleep(0.02)
        return time.monotonic()

    async def until_alone(self) -> None:
        """Wait until no agent is in the room."""
        async with asyncio.timeout(NET_S):
            while self.agents:
                await asyncio.sleep(0.02)

    def _begin_to_read(self, reader: rtc.TextStreamReader, sender: str) -> None:
        task = asyncio.get_running_loop().create_task(self._read(reader, sender))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, sender: str) -> None:
        text = (await reader.read_all()).strip()
        if sender != self.identity:
            self.answers.append(Answer(time.monotonic(), sender, text))
