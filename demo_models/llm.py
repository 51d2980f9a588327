"""A language model that is a set of rules.

Like every model it sees the chat context and the tools, and changes data only by calling tools. It
keeps nothing itself. So what survives a reload in the demo also survives with a real model.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from livekit.agents import llm
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)
from livekit.agents.utils import shortuuid

from demo_models.conversation import read_conversation
from demo_models.reply import Reply, Speech, reply_to

_DELTA: Final = re.compile(r"(?:\S+\s*){1,3}")


class RuleLLM(llm.LLM[str]):
    """Answers by rule about names, facts, languages and visits, and admits what it cannot do."""

    @property
    def model(self) -> str:
        """The model's name in metrics."""
        return "rules"

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return "rejoin-demo"

    def chat(  # noqa: PLR0913  (LiveKit's signature)
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,  # noqa: ARG002  (one call at a time)
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,  # noqa: ARG002  (nothing to tune)
    ) -> llm.LLMStream:
        """Answer the newest item of `chat_ctx`, or call one of `tools` for it."""
        return RuleStream(
            self,
            chat_ctx=chat_ctx,
            tools=[] if tool_choice == "none" else tools or [],
            conn_options=conn_options,
        )


class RuleStream(llm.LLMStream):
    """One answer, a few words at a time."""

    async def _run(self) -> None:
        request_id = shortuuid("rules_")
        reply = reply_to(
            read_conversation(self._chat_ctx), llm.ToolContext(self._tools).function_tools.keys()
        )
        completion_tokens = 0
        for delta in _deltas(reply):
            completion_tokens += len((delta.content or "").split()) or 1
            self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
        self._event_ch.send_nowait(
            llm.ChatChunk(id=request_id, usage=_usage(self._chat_ctx, completion_tokens))
        )


def _deltas(reply: Reply) -> Iterator[llm.ChoiceDelta]:
    if isinstance(reply, Speech):
        for words in _DELTA.findall(reply.text):
            yield llm.ChoiceDelta(role="assistant", content=words)
        return
    call = llm.FunctionToolCall(
        name=reply.name,
        arguments=json.dumps(reply.arguments, ensure_ascii=False),
        call_id=shortuuid("call_"),
    )
    yield llm.ChoiceDelta(role="assistant", tool_calls=[call])


def _usage(chat_ctx: llm.ChatContext, completion_tokens: int) -> llm.CompletionUsage:
    """Count words as tokens: there is no tokenizer, and no bill."""
    prompt_tokens = sum(
        len((message.text_content or "").split()) for message in chat_ctx.messages()
    )
    return llm.CompletionUsage(
        completion_tokens=completion_tokens,
        prompt_tokens=prompt_tokens,
        total_tokens=completion_tokens + prompt_tokens,
    )
