"""Turns as the page gets them: the same from the gateway over HTTP and from the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from session_store.models import TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.models import RecordedTurn, Turn

LOAD_ID: Final = "rj.load"
"""Attribute of a token: the gateway names each page load at random."""


def is_shown(turn: Turn) -> bool:
    """Return whether a page shows this turn: words of a participant or an agent, no tools."""
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


def shown_after(known: int, turns: Iterable[RecordedTurn]) -> list[dict[str, Any]]:
    """Return the turns that are missing on a page that has all up to number ``known``.

    Late turns are always among them: their own numbers say nothing about their place. They get
    the number of the turn before them, and are marked ``late``.
    """
    turns = tuple(turns)
    lacking = []
    place = next((recorded.seq - 1 for recorded in turns if not recorded.late), 0)
    for recorded in turns:
        if not recorded.late:
            place = recorded.seq
        if is_shown(recorded.turn) and (recorded.late or recorded.seq > known):
            mark = {"late": True} if recorded.late else {}
            lacking.append({**shown(place, recorded.turn), **mark})
    return lacking
