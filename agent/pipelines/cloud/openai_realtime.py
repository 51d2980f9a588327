"""OpenAI's realtime model: it hears, thinks and speaks in one session that always reconnects."""

import asyncio
import sys
from typing import Any, Final

import aiohttp
from livekit.agents import APIConnectionError
from livekit.agents.llm.remote_chat_context import RemoteChatContext
from livekit.agents.types import NOT_GIVEN, APIConnectOptions
from livekit.plugins import openai
from livekit.plugins.openai import realtime

from agent.pipeline_settings import PipelineSettings
from session_store.tasks import happens_within

MODEL: Final = "gpt-realtime"
VOICE: Final = "marin"
LONGEST_PAUSE_S: Final = 30.0
"""Longest pause between two attempts to connect."""


def model(settings: PipelineSettings) -> openai.realtime.RealtimeModel:
    """Return the model. It speaks the language that its instructions name."""
    url, key = settings.language_server
    return _Model(
        model=settings.agent_llm_model or MODEL,
        voice=settings.agent_tts_voice or VOICE,
        base_url=url or NOT_GIVEN,
        api_key=key,
        # If the model gives up, the agent session closes and the job ends. Its successor would
        # fail in the same way.
        conn_options=APIConnectOptions(
            max_retry=sys.maxsize, retry_interval=0.0, timeout=settings.agent_llm_timeout_s
        ),
    )


class _Model(openai.realtime.RealtimeModel):
    def session(self, *, turn_detection_disabled: bool = False) -> realtime.RealtimeSession:
        session = _Session(self, turn_detection_disabled=turn_detection_disabled)
        self._sessions.add(session)
        return session


class _Session(realtime.RealtimeSession):
    """Reconnects without end and keeps the conversation. Its pauses grow while attempts fail."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._has_ended = asyncio.Event()
        self._last_s = -float("inf")
        self._pause_s = 0.0
        self._kept: RemoteChatContext | None = None
        super().__init__(*arguments, **named)

    def _is_fatal_error(self, error: object | None) -> bool:  # noqa: ARG002 (LiveKit's signature)
        # A refused key or an unpaid bill may be in order again in a minute.
        return False

    async def aclose(self) -> None:
        """End the session, even while it waits for the next attempt."""
        self._has_ended.set()
        await super().aclose()

    async def _create_ws_conn(self) -> aiohttp.ClientWebSocketResponse:
        loop = asyncio.get_running_loop()
        held = loop.time() - self._last_s > LONGEST_PAUSE_S + self._opts.conn_options.timeout
        self._pause_s = 0.0 if held else min(2 * self._pause_s + 0.5, LONGEST_PAUSE_S)
        if self._kept is not None and not held and self._knows_more(self._kept):
            # LiveKit repeats only what the provider has confirmed. The last connection ended before
            # the provider could confirm anything.
            self._remote_chat_ctx = self._kept
        self._kept = self._remote_chat_ctx
        if await happens_within(self._has_ended, self._pause_s):
            raise APIConnectionError("the session has ended")
        self._last_s = loop.time()
        return await super()._create_ws_conn()

    def _knows_more(self, kept: RemoteChatContext) -> bool:
        return len(kept.to_chat_ctx().items) > len(self.chat_ctx.items)
