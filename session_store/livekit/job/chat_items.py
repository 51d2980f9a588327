"""Turn to LiveKit ``ChatItem`` and back, without loss.

An item of any kind comes back equal, except for what is left out: pictures that are not a URL and
the sound of audio (they are counted, and the transcript of audio becomes text), metrics and hashes
(they belong to one process), and values in ``extra`` that are neither JSON nor bytes (a log line
names them). ``docs/binding.md`` tells users.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from pydantic import TypeAdapter, ValidationError

from session_store.livekit.job import json_values
from session_store.models import Turn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from session_store.models import RecordedTurn

logger = logging.getLogger(__name__)

_KINDS: Final = {
    "message": TurnKind.MESSAGE,
    "function_call": TurnKind.TOOL_CALL,
    "function_call_output": TurnKind.TOOL_OUTPUT,
}
_HANDOFF: Final = "agent_handoff"
_TYPES: Final = {
    **{kind: type_ for type_, kind in _KINDS.items()},
    TurnKind.HANDOFF: _HANDOFF,
}
_OWN_FIELDS: Final = {"id", "type", "created_at"}
_OF_A_MESSAGE: Final = {"role", "content", "interrupted", "metrics", "hash"}
"""Fields that a turn has too, or that belong to one process."""

# Keys in the details of a turn that are not fields of an item.
_LEFT_OUT: Final = "left_out"
_ITEM_ID: Final = "item_id"

_ITEM: Final = TypeAdapter[llm.ChatItem](llm.ChatItem)
_PART: Final = TypeAdapter[llm.ChatContent](llm.ChatContent)


def turn_of(item: llm.ChatItem, *, turn_id: str | None = None) -> Turn:
    """Turn a chat item into a turn. By default the turn has the id of the item.

    An item that is not a message, a tool call or an output becomes a turn of the kind ``HANDOFF``,
    with its type in the details: a handoff, a change of configuration, a type of a newer LiveKit.

    Raises:
        ValueError: the item cannot be a turn: its time is not finite, or its id too long.
    """
    kind = _KINDS.get(item.type, TurnKind.HANDOFF)
    # All other fields are kept, including those that LiveKit may add one day.
    own = _OWN_FIELDS | (_OF_A_MESSAGE if isinstance(item, llm.ChatMessage) else set())
    fields = item.model_dump(exclude=own, exclude_defaults=True)
    details, missing = json_values.written(fields)
    if missing:
        logger.warning(
            "values of an item cannot be kept", extra={"item": item.id, "fields": missing}
        )
    if turn_id is not None and turn_id != item.id:
        details[_ITEM_ID] = item.id
    if not isinstance(item, llm.ChatMessage):
        if kind is TurnKind.HANDOFF and item.type != _HANDOFF:
            details["type"] = item.type
        return Turn(id=turn_id or item.id, kind=kind, created_at=item.created_at, details=details)
    parts, left_out = _write_content(item.content)
    text = _said(item, parts)
    if parts != [text]:
        details["content"] = parts
    if left_out:
        details[_LEFT_OUT] = left_out
    return Turn(
        id=turn_id or item.id,
        role=item.role,
        text=text,
        created_at=item.created_at,
        interrupted=item.interrupted,
        details=details,
    )


def item_of(turn: Turn) -> llm.ChatItem | None:
    """Turn a recorded turn back into the chat item that it was.

    Returns:
        ``None`` if the installed LiveKit does not know the item: a newer one has recorded it.
    """
    fields = json_values.read(turn.details)
    fields.setdefault("type", _TYPES[turn.kind])
    fields["id"] = item_id_of(turn)
    fields["created_at"] = turn.created_at
    if turn.kind is TurnKind.MESSAGE:
        fields["role"] = turn.role
        fields["interrupted"] = turn.interrupted
        fields["content"] = _read_content(turn, fields.get("content", [turn.text]))
    try:
        return _ITEM.validate_python(fields)
    except ValidationError:
        logger.warning(
            "a turn is not a chat item of this version of LiveKit",
            extra={"turn": turn.id, "type": str(fields["type"])},
        )
        return None


def item_id_of(turn: Turn) -> str:
    """Return the id that the item of a turn has in LiveKit."""
    return str(turn.details.get(_ITEM_ID, turn.id))


def active_agent(turns: Iterable[RecordedTurn]) -> str | None:
    """Return the id of the agent of the last handoff; ``None`` if there was no handoff."""
    *_, active = (None, *agents_named(turns))
    return active if isinstance(active, str) else None


def agents_named(turns: Iterable[RecordedTurn]) -> Iterator[Any]:
    """Yield the ids of the agents that a record was handed to, oldest first."""
    for recorded in turns:
        details = recorded.turn.details
        if recorded.turn.kind is TurnKind.HANDOFF and "new_agent_id" in details:
            yield details["new_agent_id"]


def _write_content(content: Iterable[llm.ChatContent]) -> tuple[list[Any], int]:
    """Write the parts of a message as JSON; return also how many could not be kept."""
    parts: list[Any] = []
    left_out = 0
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, llm.AudioContent):
            left_out += 1
            if part.transcript:
                parts.append(part.transcript)
        elif isinstance(part, llm.ImageContent) and not _is_reference(part.image):
            left_out += 1
        else:
            written = json_values.written({**part.model_dump(exclude_defaults=True)})
            if written.left_out:
                left_out += 1
            else:
                parts.append({**written.values, "type": part.type})
    return parts, left_out


def _is_reference(image: object) -> bool:
    return isinstance(image, str) and not image.startswith("data:")


def _said(item: llm.ChatMessage, parts: Iterable[Any]) -> str:
    """Return the words of a message, without the markup that tells a voice how to speak."""
    words: list[llm.ChatContent] = [part for part in parts if isinstance(part, str)]
    return item.model_copy(update={"content": words}).text_content or ""


def _read_content(turn: Turn, parts: Any) -> list[llm.ChatContent]:
    """Read the parts of a message; log and leave out those of an unknown type."""
    content: list[llm.ChatContent] = []
    for part in parts:
        try:
            content.append(_PART.validate_python(part))
        except ValidationError:
            type_ = part.get("type") if isinstance(part, dict) else type(part).__name__
            logger.warning(
                "a part of a message is unknown to this version of LiveKit",
                extra={"turn": turn.id, "type": str(type_)},
            )
    return content
