"""What a strict provider of language models refuses: the rules of OpenAI's Chat Completions.

They stand in its reference ("Create chat completion") and in the texts of its errors.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAX_CALL_ID: Final = 40
_ROLES: Final = {"system", "developer", "user", "assistant"}


def refusals(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Return why a provider would refuse a request; nothing if it would take it."""
    return list(_refusals(messages))


def _refusals(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not messages:
        yield "'messages' is empty"
    open_calls: set[str] = set()
    for at, message in enumerate(messages):
        place = f"messages.{at}"
        if message.get("role") == "tool":
            yield from _refusals_of_output(message, open_calls, place)
            continue
        if open_calls:
            yield f"{place}: 'tool_calls' before it have no response: {sorted(open_calls)}"
        yield from _refusals_of_message(message, place)
        open_calls = {call["id"] for call in message.get("tool_calls", [])}
    if open_calls:
        yield f"'tool_calls' at the end have no response: {sorted(open_calls)}"


def _refusals_of_output(message: dict[str, Any], open_calls: set[str], place: str) -> Iterator[str]:
    call_id = message.get("tool_call_id")
    if call_id not in open_calls:
        yield f"{place}: 'tool' does not respond to a preceding 'tool_calls'"
    open_calls.discard(str(call_id))


def _refusals_of_message(message: dict[str, Any], place: str) -> Iterator[str]:
    if message.get("role") not in _ROLES:
        yield f"{place}: {message.get('role')!r} is no role"
    calls = message.get("tool_calls", [])
    if message.get("content") is None and not calls:
        yield f"{place}: 'content' is missing"
    if len({call["id"] for call in calls}) < len(calls):
        yield f"{place}: two calls have the same id"
    for call in calls:
        yield from _refusals_of_call(call, place)


def _refusals_of_call(call: dict[str, Any], place: str) -> Iterator[str]:
    function = call.get("function", {})
    if not 0 < len(call.get("id", "")) <= _MAX_CALL_ID:
        yield f"{place}: the id of a call has 1 to {_MAX_CALL_ID} characters"
    if not _NAME.fullmatch(function.get("name", "")):
        yield f"{place}: {function.get('name')!r} is no name of a function"
    try:
        json.loads(function.get("arguments", ""))
    except ValueError:
        yield f"{place}: the arguments are not JSON"
