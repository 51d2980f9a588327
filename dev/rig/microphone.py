"""A microphone that is silent until it is told what to say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from livekit import rtc

from demo_models.tts import EspeakTTS
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE: Final = 48_000
_FRAME: Final = RATE // 10
"""Samples of 100 ms."""
_QUEUE_MS: Final = 300


class Microphone:
    """Publishes a track, as a page with an open microphone does."""

    def __init__(self) -> None:
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=_QUEUE_MS)
        self._speech: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def publish(self, room: rtc.Room) -> None:
        """Publish it in a room; the sound goes on where it was."""
        await publish_microphone(room, self._source)
        if self._task is None:
            self._task = asyncio.create_task(self._capture(), name="microphone")

    async def say(self, text: str) -> None:
        """Speak, in the demo's own voice; returns when all of it is queued."""
        voice = EspeakTTS()
        spoken: rtc.AudioFrame = await voice.synthesize(text).collect()
        await voice.aclose()
        resampler = rtc.AudioResampler(spoken.sample_rate, RATE)
        for part in [*resampler.push(spoken), *resampler.flush()]:
            for frame in _cut(part):
                self._speech.put_nowait(frame)

    async def aclose(self) -> None:
        """Let it go."""
        await stop(self._task)
        await self._source.aclose()

    async def _capture(self) -> None:
        silence = rtc.AudioFrame.create(RATE, 1, _FRAME)
        while True:
            frame = silence if self._speech.empty() else self._speech.get_nowait()
            await self._source.capture_frame(frame)


async def publish_microphone(room: rtc.Room, source: rtc.AudioSource) -> rtc.LocalTrackPublication:
    """Publish a source of sound as a microphone."""
    # A track of its own for each room: one track in two connections ends the process.
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    return await room.local_participant.publish_track(track, options)


def _cut(frame: rtc.AudioFrame) -> Iterator[rtc.AudioFrame]:
    """Cut sound into frames of 100 ms, the last one filled with silence."""
    samples = bytes(frame.data.cast("b"))
    for start in range(0, len(samples), 2 * _FRAME):
        piece = samples[start : start + 2 * _FRAME].ljust(2 * _FRAME, b"\0")
        yield rtc.AudioFrame(piece, RATE, 1, _FRAME)
