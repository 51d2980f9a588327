"""What a language model is given, reduced to what decides an answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import llm

from demo_models.memory import Memory, read_memory

_MAX_CHARACTERS: Final = 2000
"""More of one message than this is not read."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool call that was made, and how it ended."""

    name: str
    arguments: dict[str, Any]
    is_error: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request to the model.

    Attributes:
        memory: From the newest instructions that hold any.
        said: What the user said and nobody answered yet.
        result: Of the tool that has just run.
        last_reply: The newest words of the assistant before that.
        earlier: What the user said before, oldest first.
    """

    memory: Memory
    said: str | None
    result: ToolResult | None
    last_reply: str | None
    earlier: tuple[str, ...]


def read_conversation(chat_ctx: llm.ChatContext) -> Conversation:
    """Reduce `chat_ctx`.

    Instructions for one reply may stand behind the user's words, so the newest item that is not an
    instruction decides who has to be answered.
    """
    items = chat_ctx.items
    turns = [item for item in items if _is_turn(item)]
    newest = turns[-1] if turns else None
    said: str | None = None
    result: ToolResult | None = None
    if isinstance(newest, llm.ChatMessage) and newest.role == "user":
        said = _text(newest)
        turns.pop()
    elif isinstance(newest, llm.FunctionCallOutput):
        result = ToolResult(newest.name, _arguments(turns, newest.call_id), newest.is_error)
    messages = [item for item in turns if isinstance(item, llm.ChatMessage)]
    replies = [_text(message) for message in messages if message.role == "assistant"]
    return Conversation(
        memory=_memory(items),
        said=said,
        result=result,
        last_reply=replies[-1] if replies else None,
        earlier=tuple(_text(message) for message in messages if message.role == "user"),
    )


def _is_turn(item: llm.ChatItem) -> bool:
    if isinstance(item, llm.ChatMessage):
        return item.role in {"user", "assistant"}
    return isinstance(item, llm.FunctionCall | llm.FunctionCallOutput)


def _text(message: llm.ChatMessage) -> str:
    return (message.text_content or "")[:_MAX_CHARACTERS]


def _memory(items: Sequence[llm.ChatItem]) -> Memory:
    for item in reversed(items):
        if isinstance(item, llm.ChatMessage) and item.role in {"system", "developer"}:
            memory = read_memory(item.text_content or "")
            if memory is not None:
                return memory
    return Memory()


def _arguments(turns: Sequence[llm.ChatItem], call_id: str) -> dict[str, Any]:
    for item in reversed(turns):
        if isinstance(item, llm.FunctionCall) and item.call_id == call_id:
            try:
                arguments = json.loads(item.arguments)
            except ValueError:
                return {}
            return arguments if isinstance(arguments, dict) else {}
    return {}
