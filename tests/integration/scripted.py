"""A model that says what a test tells it to, and remembers what it was given.

It refuses what a strict provider refuses.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import APIStatusError, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import shortuuid

from dev.rig.providers.strict import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents.types import APIConnectOptions, NotGivenOr

_WORDS: Final = re.compile(r"\S+\s*")


def call(name: str, arguments: str = "{}", call_id: str | None = None) -> llm.FunctionToolCall:
    """Return a call of a tool, by default under an id that no other has."""
    call_id = call_id or shortuuid("call_")
    return llm.FunctionToolCall(name=name, arguments=arguments, call_id=call_id)


def _name_of(tool: llm.Tool) -> str | None:
    info = getattr(tool, "info", None)
    return getattr(info, "name", None)


class ScriptedLLM(llm.LLM[str]):
    """Answers each context with what ``script`` makes of it: words, or calls of tools."""

    def __init__(
        self,
        script: Callable[[llm.ChatContext], str | list[llm.FunctionToolCall]],
        *,
        word_s: float = 0.0,
        strict: bool = True,
    ) -> None:
        """Make one.

        Args:
            script: what to answer.
            word_s: how long each word takes, in seconds.
            strict: refuse what a strict provider refuses.
        """
        super().__init__()
        self.script = script
        self.word_s = word_s
        self.strict = strict
        self.may_speak = asyncio.Event()
        """Cleared: no word is said yet. Tools are called nevertheless."""
        self.may_speak.set()
        self.pauses_after: int | None = None
        """How many words it says of an answer before it waits for ``may_go_on``."""
        self.may_go_on = asyncio.Event()
        self.given: list[llm.ChatContext] = []
        """The contexts of all requests."""
        self.tools: list[list[str]] = []
        """The names of the tools that each request allowed."""

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
        self.tools.append([name for tool in allowed if (name := _name_of(tool))])
        return _Answer(self, chat_ctx=chat_ctx, tools=allowed, conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        model = self._llm
        assert isinstance(model, ScriptedLLM)
        messages, _ = self._chat_ctx.to_provider_format("openai")
        if model.strict and (refused := refusals(messages)):
            raise APIStatusError("; ".join(refused), status_code=400, retryable=False)
        answer = model.script(self._chat_ctx)
        if isinstance(answer, list):
            self._send(llm.ChoiceDelta(role="assistant", tool_calls=answer))
            return
        await model.may_speak.wait()
        for number, word in enumerate(_WORDS.findall(answer)):
            if number == model.pauses_after:
                await model.may_go_on.wait()
            await asyncio.sleep(model.word_s)
            self._send(llm.ChoiceDelta(role="assistant", content=word))

    def _send(self, delta: llm.ChoiceDelta) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id=self._request_id, delta=delta))

    @property
    def _request_id(self) -> str:
        return f"scripted_{id(self)}"
