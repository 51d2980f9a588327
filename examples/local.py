"""Models for the examples. They need no key and no network; replace them with your provider's.

The language model is a few rules. It repeats what it hears, and tells on request what was said so
far. If it hears all words of a tool's name, it calls that tool and says its output.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import shortuuid
from livekit.plugins import silero

from demo_models.recognizer import Recognizer
from demo_models.stt import JsgfSTT
from demo_models.tts import EspeakTTS

if TYPE_CHECKING:
    from livekit.agents import AgentServer
    from livekit.agents.types import APIConnectOptions, NotGivenOr

JOBS_AT_ONCE: Final = 10
_NUMBER: Final = re.compile(r"\d+")


def load_by_jobs(server: AgentServer) -> float:
    """Return the load of a worker by its jobs. LiveKit's default, the CPU, loses dispatches."""
    return len(server.active_jobs) / JOBS_AT_ONCE


def speech_and_model() -> dict[str, Any]:
    """Return the models of an agent session: recognition, language, voice and VAD."""
    return {
        "stt": JsgfSTT(Recognizer()),
        "llm": LocalLLM(),
        "tts": EspeakTTS(language="en"),
        "vad": silero.VAD.load(),
        # LiveKit's default turn detector asks a cloud service.
        "turn_handling": {
            "turn_detection": "vad",
            "endpointing": {"mode": "fixed", "min_delay": 0.3, "max_delay": 1.5},
            "interruption": {"mode": "vad"},
        },
    }


class LocalLLM(llm.LLM[str]):
    """A language model of a few rules."""

    def chat(  # noqa: PLR0913 (LiveKit's signature)
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,  # noqa: ARG002 (one call at a time)
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,  # noqa: ARG002 (nothing to tune)
    ) -> llm.LLMStream:
        """Answer the newest item of ``chat_ctx``, or call one of ``tools`` for it."""
        allowed = [] if tool_choice == "none" else tools or []
        return _Answer(self, chat_ctx=chat_ctx, tools=allowed, conn_options=conn_options)


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        answer = reply_to(self._chat_ctx, llm.ToolContext(self._tools))
        if isinstance(answer, str):
            delta = llm.ChoiceDelta(role="assistant", content=answer)
        else:
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[answer])
        self._event_ch.send_nowait(llm.ChatChunk(id=shortuuid("local_"), delta=delta))


def reply_to(context: llm.ChatContext, tools: llm.ToolContext) -> str | llm.FunctionToolCall:
    """Answer a context in words, or by calling a tool."""
    items = [item for item in context.items if item.type != "agent_config_update"]
    outputs = []
    while items and isinstance(items[-1], llm.FunctionCall | llm.FunctionCallOutput):
        item = items.pop()
        if isinstance(item, llm.FunctionCallOutput):
            outputs.append(item.output)
    if outputs:
        return f"It says: {', '.join(reversed(outputs))}."
    last = items[-1] if items else None
    if not isinstance(last, llm.ChatMessage) or last.role != "user":
        return "Hello! What can I do for you?"
    heard = last.text_content or ""
    words = set(re.findall(r"\w+", heard.lower()))
    for name in tools.function_tools:
        if words.issuperset(name.split("_")):
            number = _NUMBER.search(heard)
            arguments = {} if number is None else {"number": int(number[0])}
            return llm.FunctionToolCall(
                name=name, arguments=json.dumps(arguments), call_id=shortuuid("call_")
            )
    if {"what", "said"} <= words:
        before = [item for item in context.messages() if item.role == "user"][:-1]
        return f"You said: {'; '.join(item.text_content or '' for item in before)}."
    return f"I heard: {heard}."
