"""Spoken notices: words for the participant that are not part of the conversation.

They are not recorded, the model never sees them, and they leave no draft: only the sound is sent.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from livekit import rtc
    from livekit.agents import AgentSession, tts

logger = logging.getLogger(__name__)

SYNTHESIS_S: Final = 5.0
"""How long a voice may take before the next one is tried."""


async def speak_notice(
    agent_session: AgentSession[Any], words: str, voices: Iterable[tts.TTS[Any]]
) -> bool:
    """Speak words with the first voice that works, after what the agent is saying now.

    Returns:
        Whether a voice worked.
    """
    for voice in voices:
        frames = await _sound(voice, words)
        if frames:
            try:
                agent_session.say("", audio=_stream(frames), add_to_chat_ctx=False)
            except RuntimeError:
                return False  # The agent session is not running.
            return True
    return False


async def _sound(voice: tts.TTS[Any], words: str) -> list[rtc.AudioFrame]:
    """Return words as sound; an empty list if the voice fails."""
    try:
        async with asyncio.timeout(SYNTHESIS_S), voice.synthesize(words) as stream:
            return [piece.frame async for piece in stream]
    except Exception as error:  # noqa: BLE001 (plugins raise what they like; the next voice is tried)
        logger.info("a voice cannot speak", extra={"error": type(error).__name__})
        return []


async def _stream(frames: Iterable[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
    for frame in frames:
        yield frame
