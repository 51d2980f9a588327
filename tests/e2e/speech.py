"""Speech for the browser's microphone, made by the demo's own voice."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

from demo_models.tts import EspeakTTS

if TYPE_CHECKING:
    from pathlib import Path

    from livekit import rtc

TIMES = 5
SILENCE_AFTER_S = 60


async def speech_file(path: Path, text: str, *, after_s: float) -> Path:
    """Write a WAV in which the text is said after some seconds of silence, and again, and again.

    As a person does after a misunderstanding: on a busy machine, sound has gaps.
    """
    tts = EspeakTTS()
    spoken: rtc.AudioFrame = await tts.synthesize(text).collect()
    await tts.aclose()
    silence = b"\0\0" * spoken.sample_rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(spoken.sample_rate)
        for _ in range(TIMES):
            file.writeframes(silence * round(after_s))
            file.writeframes(bytes(spoken.data))
        file.writeframes(silence * SILENCE_AFTER_S)
    return path
