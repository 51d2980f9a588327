"""A model that says what a test tells it to, and remembers what it was given."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import shortuuid

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents.types import APIConnectOptions, NotGivenOr

_WORDS: Final = re.compile(r"\S+\s*")


def call(name: str, arguments: str = "{}") -> llm.FunctionToolCall:
    """Return a call of a tool."""
    return llm.FunctionToolCall(name=name, arguments=arguments, call_id=shortuuid("call_"))


class ScriptedLLM(llm.LLM[str]):
    """Answers each context with what ``script`` makes of it: words, or calls of tools."""

    def __init__(
        self,
        script: Callable[[llm.ChatContext], str | list[llm.FunctionToolCall]],
        *,
        word_s: float = 0.0,
    ) -> None:
        """Make one.

        Args:
            script: what to answer.
            word_s: how long each word takes, in seconds.
        """
        super().__init__()
        self.script = script
        self.word_s = word_s
        self.given: list[llm.ChatContext] = []
        """The contexts of all requests."""

    def chat(  # noqa: PLR0913 (LiveKit's signature)
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,  # noqa: ARG002 (the script knows)
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,  # noqa: ARG002 (there is none)
    ) -> llm.LLMStream:
        """Answer a context."""
        self.given.append(chat_ctx.copy())
        allowed = [] if tool_choice == "none" else tools or []
        return _Answer(self, chat_ctx=chat_ctx, tools=allowed, conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        assert isinstance(model, ScriptedLLM)
        answer = model.script(self._chat_ctx)
        if isinstance(answer, list):
            self._send(llm.ChoiceDelta(role="assistant", tool_calls=answer))
            return
        for word in _WORDS.findall(answer):
            await asyncio.sleep(model.word_s)
            self._send(llm.ChoiceDelta(role="assistant", content=word))

    def _send(self, delta: llm.ChoiceDelta) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id=self._request_id, delta=delta))

    @property
    def _request_id(self) -> str:
        return f"scripted_{id(self)}"
