"""What the model is given of a conversation that others began."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

from livekit.agents import llm

from session_store.livekit.job.chat_items import item_of
from session_store.livekit.job.owed_answer import owed
from session_store.livekit.job.tool_pairs import tool_pairs
from session_store.models import TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from session_store.livekit.job.tool_pairs import ToolPair
    from session_store.models import RecordedTurn

_INSTRUCTIONS: Final = ("system", "developer")
_LINK_CHARS: Final = 9
"""Mistral takes call ids of exactly nine letters and digits; all others take these too."""


def chat_context(turns: Sequence[RecordedTurn], newest: int) -> llm.ChatContext:
    """Build what the model is given: the newest items, in the order of time.

    If older ones are left out, it begins with an exchange, that is with words of the user. So it
    may have fewer items than ``newest``. It has more if one exchange is longer, or if words that
    want an answer are further back: a model is never asked without them.

    It leaves out instructions, handoffs and changes of configuration: the agent that starts has its
    own. A tool call comes with its output, and an output with its call, under an id that no other
    call has. No item is dated in the future, even if the clock of the job before was: LiveKit sorts
    new items in by their time.

    Args:
        turns: in the order of the record.
        newest: how many items; 0 for none but those that want an answer.
    """
    debt = owed(turns).turns
    needed: set[str] = set()
    items: list[llm.ChatItem] = []
    for recorded in turns:
        message = _message(recorded)
        if message is not None:
            items.append(message)
            if recorded.turn.id in debt:
                needed.add(message.id)
    for pair in tool_pairs(turns):
        linked = list(_linked(pair))
        items += linked
        if pair.output is not None and pair.output.turn.id in debt:
            needed.update(item.id for item in linked)
    # The order of LiveKit: a call is recorded when it begins, the words before it when they end.
    # What was recorded first comes first where the times are equal, and a call before its output.
    items.sort(key=lambda item: item.created_at)
    items = _with_whole_pairs(items[_start(items, newest, needed) :])
    now = time.time()
    for item in items:
        item.created_at = min(item.created_at, now)
    return llm.ChatContext(items)


def merged(context: llm.ChatContext, earlier: llm.ChatContext) -> llm.ChatContext:
    """Return a context with the items of an earlier one that it lacks, each in its place.

    That is behind the item that it follows in the earlier context. The first ones stand behind the
    instructions.
    """
    items = list(context.items)
    at = next((n for n, item in enumerate(items) if not _instructs(item)), len(items))
    places = {item.id: item for item in items}
    for item in earlier.items:
        if item.id in places:
            at = items.index(places[item.id]) + 1
        else:
            items.insert(at, item)
            at += 1
    return llm.ChatContext(items)


def _instructs(item: llm.ChatItem) -> bool:
    if isinstance(item, llm.ChatMessage):
        return item.role in _INSTRUCTIONS
    return isinstance(item, llm.AgentConfigUpdate)


def _message(recorded: RecordedTurn) -> llm.ChatMessage | None:
    turn = recorded.turn
    if turn.kind is not TurnKind.MESSAGE or turn.role in _INSTRUCTIONS:
        return None
    item = item_of(turn)
    # Providers refuse a message without content.
    return item if isinstance(item, llm.ChatMessage) and item.content else None


def _linked(pair: ToolPair) -> Iterator[llm.ChatItem]:
    """Yield a call and its output; nothing if one of them is missing or unknown to LiveKit."""
    if pair.output is None:
        return
    call, output = item_of(pair.call.turn), item_of(pair.output.turn)
    if isinstance(call, llm.FunctionCall) and isinstance(output, llm.FunctionCallOutput):
        # The id is new, since LiveKit links by it over the whole context: the ids of a model that
        # counts from call_0 in each reply would link the next call to the output of this one.
        link = hashlib.sha256(pair.call.turn.id.encode()).hexdigest()[:_LINK_CHARS]
        yield call.model_copy(update={"call_id": link})
        at = max(output.created_at, call.created_at)
        yield output.model_copy(
            update={"call_id": link, "name": output.name or call.name, "created_at": at}
        )


def _start(items: Sequence[llm.ChatItem], newest: int, needed: set[str]) -> int:
    """Return where the newest items begin: at an exchange, and not behind what is needed."""
    if len(items) <= newest:
        return 0
    start = len(items) - newest
    limit = min((at for at, item in enumerate(items) if item.id in needed), default=len(items))
    begins = list(_exchanges(items))
    within = next((at for at in begins if at >= start), None)
    if within is not None and within <= limit:
        return within
    back_to = min(start, limit)
    if back_to == len(items):
        return back_to
    return max((at for at in begins if at <= back_to), default=back_to if not begins else 0)


def _exchanges(items: Sequence[llm.ChatItem]) -> Iterator[int]:
    """Yield where an exchange begins: with the first words of the user behind the agent's."""
    role_before = "assistant"
    for at, item in enumerate(items):
        if isinstance(item, llm.ChatMessage):
            if item.role == "user" and role_before != "user":
                yield at
            role_before = item.role


def _with_whole_pairs(items: Sequence[llm.ChatItem]) -> list[llm.ChatItem]:
    """Leave out the outputs whose calls lie before the first of the items."""
    begun = {item.call_id for item in items if isinstance(item, llm.FunctionCall)}
    return [
        item
        for item in items
        if not isinstance(item, llm.FunctionCallOutput) or item.call_id in begun
    ]
