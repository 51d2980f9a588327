"""What a page gets of a turn: the same from the gateway and in the room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_store.models import TurnKind

if TYPE_CHECKING:
    from session_store.models import Turn


def is_shown(turn: Turn) -> bool:
    """Tell whether a page shows this turn: what people and agents said, no tools."""
    return turn.kind is TurnKind.MESSAGE and turn.role in {"user", "assistant"}


def shown(seq: int, turn: Turn) -> dict[str, Any]:
    """Return the fields of a turn that a page gets."""
    return {
        "id": turn.id,
        "seq": seq,
        "role": turn.role,
        "text": turn.text,
        "created_at": turn.created_at,
        "interrupted": turn.interrupted,
    }
