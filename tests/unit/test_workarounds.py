"""An agent keeps its voice through an interruption before anybody can hear it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.voice.room_io._output import _ParticipantAudioOutput

from session_store.livekit.job.workarounds import keep_voice


@pytest.mark.parametrize("kept", [True, False])
async def test_who_interrupts_before_the_first_listener_does_not_silence_the_agent(
    *, kept: bool
) -> None:
    """LiveKit's own output, with what is patched and without: there it is silent for good."""
    output: Any = object.__new__(_ParticipantAudioOutput)
    output._subscribed_fut = subscribed = asyncio.get_running_loop().create_future()
    output._next_in_chain = None
    session: Any = SimpleNamespace(output=SimpleNamespace(audio=output))
    if kept:
        keep_voice(session)
    frame = rtc.AudioFrame.create(24_000, 1, 480)
    first = asyncio.create_task(output.capture_frame(frame))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert subscribed.cancelled() is not kept
    assert output._subscribed_fut.done() is not kept
