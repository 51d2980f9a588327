"""A hidden participant that hears every word which the agent speaks in a room."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from livekit import api, rtc

if TYPE_CHECKING:
    from pathlib import Path

_IDENTITY: Final = "witness"


@dataclass
class Speech:
    """One speech of the agent, as it is spoken."""

    began: float
    """When it began to be heard (monotonic)."""
    heard: list[tuple[float, str]] = field(default_factory=list)
    """What was spoken up to which moment (monotonic), each with all words before it."""
    over: bool = False
    """Whether it was spoken out, or interrupted."""

    def until(self, moment: float) -> str:
        """Return the words that were spoken up to a moment."""
        return next((text for at, text in reversed(self.heard) if at <= moment), "")


class Witness:
    """Notes all speeches in one room. Use it as a context manager: it leaves at the end."""

    def __init__(self, livekit_url: str, config: Path, room: str) -> None:
        """Prepare to join; entering the context joins.

        Args:
            livekit_url: where LiveKit listens.
            config: the configuration of that server, with its API key.
            room: name of the room.
        """
        self.speeches: list[Speech] = []
        """All that had words, oldest first."""
        self._url = livekit_url
        self._token = _token(config, room)
        self._room = rtc.Room()
        self._reading: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._room.register_text_stream_handler("lk.transcription", self._on_words)
        # Without sound: an agent must not take it for a participant that listens.
        await self._room.connect(self._url, self._token, rtc.RoomOptions(auto_subscribe=False))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._room.disconnect()
        await asyncio.gather(*self._reading, return_exceptions=True)

    def _on_words(self, reader: rtc.TextStreamReader, identity: str) -> None:
        participant = self._room.remote_participants.get(identity)
        if participant is None or participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            return
        task = asyncio.create_task(self._read(reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        speech = Speech(began=time.monotonic())
        text = ""
        with suppress(rtc.StreamError):  # The room is left in the middle of a speech.
            async for chunk in reader:
                text += chunk
                if text.strip() and not speech.heard:
                    self.speeches.append(speech)
                speech.heard.append((time.monotonic(), text))
        speech.over = True


def _token(config: Path, room: str) -> str:
    ((key, secret),) = json.loads(config.read_text())["keys"].items()
    grants = api.VideoGrants(
        room_join=True, room=room, hidden=True, can_publish=False, can_publish_data=False
    )
    return api.AccessToken(key, secret).with_identity(_IDENTITY).with_grants(grants).to_jwt()
