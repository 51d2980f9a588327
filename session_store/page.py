"""What page, gateway and agent agree on: the same turns over HTTP and in the room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from session_store.models import TurnKind

if TYPE_CHECKING:
    from session_store.models import Turn

LOAD_ID: Final = "rj.load"
"""Attribute that the gateway puts into a token: a random name of the page load."""


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
