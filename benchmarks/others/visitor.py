"""A person who calls an agent of other people: a plain token, an open microphone, and no page."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from livekit import api, rtc

from dev.rig.hearing import Hearing
from dev.rig.microphone import Microphone
from dev.rig.notes import Kind, Note, Notes
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from dev.rig.livekit import LiveKitServer

LISTENS: Final = {"listening", "thinking", "speaking"}
"""States of an agent that hears what is said."""
VOICE: Final = "roomio_audio"
"""The track of an agent's voice; music and noise have tracks of their own."""
SOUNDS_LIKE: Final = "please tell me now"
"""What the microphone carries, whatever is said. The stand-in recogniser is given the words."""
ROOM_CLOSES_S: Final = 6
"""How long a room outlives its person: until then the job is there."""


class Visitor:
    """Enters rooms under one identity, speaks or types, and listens. Use it as a context."""

    def __init__(
        self, livekit: LiveKitServer, spoken: Path, identity: str, *, types: bool, is_call: bool
    ) -> None:
        """Make one.

        Args:
            livekit: the server.
            spoken: the folder in which the stand-in recogniser looks for words.
            identity: the name that the token carries.
            types: whether to type, and not speak.
            is_call: whether to come as a phone call does.
        """
        self._livekit = livekit
        self._spoken = spoken
        self._types = types
        self._kind: Literal["sip", "standard"] = "sip" if is_call else "standard"
        self.identity = identity
        self.notes = Notes()
        self.room_name = ""
        self._room: rtc.Room | None = None
        self._hearing = Hearing(self.notes)
        self._microphone = Microphone()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()
        await stop(*self._tasks)
        await self._microphone.aclose()

    async def come(self, room: str, *, agent_name: str | None) -> float:
        """Enter a room, and ask for an agent unless there is no name; return when (monotonic)."""
        wanted = [] if agent_name is None else [api.RoomAgentDispatch(agent_name=agent_name)]
        token = (
            api.AccessToken(self._livekit.key, self._livekit.secret)
            .with_identity(self.identity)
            .with_kind(self._kind)
            .with_grants(api.VideoGrants(room_join=True, room=room))
            .with_room_config(api.RoomConfiguration(agents=wanted, departure_timeout=ROOM_CLOSES_S))
        )
        self.room_name = room
        self._room = rtc.Room()
        self._room.register_text_stream_handler("lk.transcription", self._on_words)
        self._room.on("track_subscribed", self._on_track)
        self._room.on("participant_attributes_changed", self._on_attributes)
        await self._room.connect(self._livekit.url, token.to_jwt())
        at = time.monotonic()
        self.notes.add(Kind.CONNECTED)
        await self._microphone.publish(self._room)
        return at

    async def leave(self) -> None:
        """Leave the room."""
        if self._room is not None:
            await self._room.disconnect()
            self._room = None

    async def say(self, text: str) -> float:
        """Say something, or type it; return when (monotonic)."""
        assert self._room is not None
        at = time.monotonic()
        self.notes.add(Kind.TYPED, id="", text=text)
        if self._types:
            await self._room.local_participant.send_text(text, topic="lk.chat")
        else:
            (self._spoken / self.room_name).write_text(text)
            await self._microphone.say(SOUNDS_LIKE)
        return at

    async def hears(self, words: str, *, after: float, within_s: float) -> bool:
        """Return whether an agent says these words in time."""
        try:
            async with asyncio.timeout(within_s):
                while not any(words in text for text in self.heard(after)):  # noqa: ASYNC110 (no event)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True

    def heard(self, after: float = 0.0) -> list[str]:
        """Return what agents have said, a speech each."""
        speeches: dict[str, str] = {}
        for note in self.notes.of(Kind.WORDS, after=after):
            segment = note.fields["segment"]
            speeches[segment] = speeches.get(segment, "") + note.fields["text"]
        return list(speeches.values())

    async def sound(self, *, after: float, not_from: str, within_s: float) -> Note | None:
        """Return the first sound of an agent; ``None`` if no sound comes in time."""
        with suppress(AssertionError):
            return await self.notes.first(
                Kind.SOUND, after=after, where=lambda note: note.who != not_from, within_s=within_s
            )
        return None

    async def silence(self) -> None:
        """Return when no agent has been heard for half a second."""
        since = time.monotonic()
        while not self._hearing.is_silent(since):  # noqa: ASYNC110 (silence is no event)
            await asyncio.sleep(0.02)

    def listens_since(self, *, after: float, not_from: str) -> float | None:
        """Return when an agent said that it listens (monotonic); ``None`` if none has."""
        states = self.notes.of(
            Kind.AGENT_STATE,
            after=after,
            where=lambda note: note.who != not_from and note.fields["state"] in LISTENS,
        )
        return states[0].at if states else None

    @property
    def is_listened_to(self) -> bool:
        """Whether an agent in the room says that it listens."""
        people = self._room.remote_participants.values() if self._room is not None else ()
        return any(each.attributes.get("lk.agent.state") in LISTENS for each in people)

    @property
    def agents(self) -> list[str]:
        """The agents in the room, as this person sees it."""
        if self._room is None:
            return []
        return [
            each.identity
            for each in self._room.remote_participants.values()
            if each.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        ]

    def _on_words(self, reader: rtc.TextStreamReader, who: str) -> None:
        if who != self.identity:
            self._spawn(self._read(reader, who))

    async def _read(self, reader: rtc.TextStreamReader, who: str) -> None:
        attributes = reader.info.attributes or {}
        segment = attributes.get("lk.segment_id", reader.info.stream_id)
        if attributes.get("lk.transcribed_track_id", "") in self._my_tracks():
            return
        with suppress(ConnectionError):  # Its sender died in mid-sentence.
            async for text in reader:
                self.notes.add(Kind.WORDS, who, text=text, segment=segment, mine=False)

    def _my_tracks(self) -> set[str]:
        if self._room is None:
            return set()
        return set(self._room.local_participant.track_publications)

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if "lk.agent.state" in changed:
            state = changed["lk.agent.state"]
            self.notes.add(Kind.AGENT_STATE, participant.identity, state=state)

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and publication.name == VOICE:
            self._spawn(self._hearing.listen(track, participant.identity))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
