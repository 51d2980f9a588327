"""Turns that cannot be kept as they are: cut, or repaired, and marked. None of them vanishes."""

from __future__ import annotations

import hashlib
import json
import time
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from session_store.livekit.job.tool_pairs import CALL_TURN
from session_store.models import MAX_ID_CHARS, MAX_TURN_BYTES, Turn, TurnKind

if TYPE_CHECKING:
    from livekit.agents import llm

CUT: Final = "cut"
"""In the details of a turn: how many characters were left out."""
REPAIRED: Final = "repaired"
"""In the details of a turn: whether characters were replaced that are not Unicode."""
KEPT_CHARS: Final = 16_000
"""How much is kept of a text that is too long, in characters."""
_NEEDED: Final = ("type", "name", "call_id", CALL_TURN, "is_error", "reply_required", "item_id")
"""Details that are kept whatever else must go: they say what the turn is, and to which it belongs.
"""


def repaired(item: llm.ChatItem) -> tuple[llm.ChatItem, str]:
    """Return an item that can be written as a turn, and an id for that turn.

    Characters that are not Unicode are replaced. A time that is not a number becomes now.
    """
    changed = {name: _repaired(value) for name, value in item if name != "id"}
    if not isfinite(item.created_at):
        changed["created_at"] = time.time()
    turn_id = _unicode(item.id)
    if not 0 < len(turn_id) <= MAX_ID_CHARS:
        turn_id = hashlib.sha256(turn_id.encode()).hexdigest()
    return item.model_copy(update=changed), turn_id


def fitted(turn: Turn) -> Turn:
    """Return a turn that can be kept, with a mark, and with the length of what is cut.

    What is not Unicode is replaced. Texts keep their beginning. Arguments of a tool stay JSON. If
    a turn has too many values rather than too long ones, only what says what it is stays.
    """
    whole = _repaired(turn.details)
    details, left_out = _cut_values(whole)
    arguments = whole.get("arguments")
    if (
        turn.kind is TurnKind.TOOL_CALL
        and isinstance(arguments, str)
        and len(arguments) > (KEPT_CHARS)
    ):
        details["arguments"] = json.dumps({CUT: _cut(arguments)})
    text = _cut(_unicode(turn.text))
    left_out += len(turn.text) - len(text)
    if len(json.dumps(details)) + 4 * len(text) > MAX_TURN_BYTES:
        left_out += len(json.dumps(details))
        needed = (*_NEEDED, "output", "arguments")
        details = {name: details[name] for name in needed if name in details}
    details[CUT if left_out else REPAIRED] = left_out or True
    return turn.model_copy(update={"text": text, "details": details})


def _cut(text: str) -> str:
    if len(text) <= KEPT_CHARS:
        return text
    return f"{text[:KEPT_CHARS]}… [cut: {len(text)} characters, of which {KEPT_CHARS} are kept]"


def _cut_values(value: Any) -> tuple[Any, int]:
    """Cut each text in JSON; return also how many characters were left out."""
    if isinstance(value, str):
        cut = _cut(value)
        return cut, max(0, len(value) - len(cut))
    if isinstance(value, dict):
        pairs = {name: _cut_values(part) for name, part in value.items()}
        return {name: cut for name, (cut, _) in pairs.items()}, sum(n for _, n in pairs.values())
    if isinstance(value, list):
        parts = [_cut_values(part) for part in value]
        return [cut for cut, _ in parts], sum(n for _, n in parts)
    return value, 0


def _unicode(text: str) -> str:
    """Replace what is not Unicode, such as half of a surrogate pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, dict):
        return {_repaired(name): _repaired(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_repaired(part) for part in value]
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _repaired(part) for name, part in value})
    return value
