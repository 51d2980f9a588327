"""Turn to LiveKit ``ChatItem`` and back, without loss.

Left out are images and audio (a count of them is kept), and what belongs to one process only:
metrics and hashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livekit.agents import llm

from session_store.models import RecordedTurn, Turn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OWN_FIELDS = {"id", "type", "role", "content", "created_at", "interrupted"}
_OF_ONE_PROCESS = {"metrics", "hash"}


def turn_of(item: llm.ChatItem) -> Turn | None:
    """Turn a chat item into a turn; ``None`` for items that say nothing of the conversation.

    Those are changes of configuration, and the "handoff" from nobody with which a job begins.
    """
    if isinstance(item, llm.ChatMessage):
        details = _details(item)
        texts = [part for part in item.content if isinstance(part, str)]
        if len(texts) > 1:
            details["texts"] = list[Any](texts)
        if len(texts) < len(item.content):
            details["left_out"] = len(item.content) - len(texts)
        return Turn(
            id=item.id,
            role=item.role,
            text="\n".join(texts),
            created_at=item.created_at,
            interrupted=item.interrupted,
            details=details,
        )
    kinds: dict[type[Any], TurnKind] = {
        llm.FunctionCall: TurnKind.TOOL_CALL,
        llm.FunctionCallOutput: TurnKind.TOOL_OUTPUT,
        llm.AgentHandoff: TurnKind.HANDOFF,
    }
    kind = kinds.get(type(item))
    begins = isinstance(item, llm.AgentHandoff) and item.old_agent_id is None
    if kind is None or begins:
        return None
    return Turn(id=item.id, kind=kind, created_at=item.created_at, details=_details(item))


def item_of(turn: Turn) -> llm.ChatItem:
    """Turn a recorded turn back into the chat item that it was."""
    details = dict(turn.details)
    common = {"id": turn.id, "created_at": turn.created_at}
    match turn.kind:
        case TurnKind.MESSAGE:
            content = details.pop("texts", [turn.text])
            details.pop("left_out", None)
            return llm.ChatMessage.model_validate(
                {
                    **details,
                    **common,
                    "role": turn.role,
                    "content": content,
                    "interrupted": turn.interrupted,
                }
            )
        case TurnKind.TOOL_CALL:
            return llm.FunctionCall.model_validate({**details, **common})
        case TurnKind.TOOL_OUTPUT:
            return llm.FunctionCallOutput.model_validate({**details, **common})
        case TurnKind.HANDOFF:
            return llm.AgentHandoff.model_validate({**details, **common})


def chat_context(turns: Sequence[RecordedTurn], newest: int) -> llm.ChatContext:
    """Build what the model is given: the newest items, never a tool's output without its call."""
    kept = [recorded.turn for recorded in turns if recorded.turn.kind is not TurnKind.HANDOFF]
    context = llm.ChatContext([item_of(turn) for turn in kept])
    return context.truncate(max_items=newest) if newest else llm.ChatContext.empty()


def unanswered(turns: Iterable[RecordedTurn]) -> bool:
    """Tell whether the participant spoke last."""
    spoken = [recorded.turn for recorded in turns if recorded.turn.kind is TurnKind.MESSAGE]
    return bool(spoken) and spoken[-1].role == "user"


def _details(item: llm.ChatItem) -> dict[str, Any]:
    return item.model_dump(
        mode="json", exclude=_OWN_FIELDS | _OF_ONE_PROCESS, exclude_defaults=True
    )
