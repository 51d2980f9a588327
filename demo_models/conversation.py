"""The request to a language model, reduced to what decides the answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import llm

from demo_models.memory import Memory, read_memory

_MAX_CHARACTERS: Final = 2000
"""A longer message is cut here."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A finished tool call, and its result."""

    name: str
    arguments: dict[str, Any]
    is_error: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request to the model.

    Attributes:
        memory: From the newest instructions that hold a memory.
        said: The user's newest words, if they are not answered yet.
        result: Result of a tool that has just run.
        last_reply: The assistant's newest words before that.
        earlier: The user's earlier words, the oldest first.
    """

    memory: Memory
    said: str | None
    result: ToolResult | None
    last_reply: str | None
    earlier: tuple[str, ...]


def read_conversation(chat_ctx: llm.ChatContext) -> Conversation:
    """Reduce `chat_ctx` to what decides the answer.

    Instructions for one reply may follow the user's words. So the newest item that is not an
    instruction decides what to answer.
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
