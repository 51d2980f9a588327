"""Which output belongs to which tool call, by the record.

The id of a call links items within one reply. It does not name the call in the conversation: some
models count from ``call_0`` again in each reply. So an output names the turn of its call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.models import Turn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.models import RecordedTurn

CALL_TURN: Final = "call_turn"
"""In the details of an output: the id of the turn of its call. Older records lack it."""
MADE_UP: Final = "unknown_"
"""How the id of a turn begins that was made up because the outcome of a call is unknown."""


class ToolPair(NamedTuple):
    """A tool call, and its output."""

    call: RecordedTurn
    output: RecordedTurn | None
    """``None``: the call was begun, and no outcome is recorded."""


def call_id_of(turn: Turn) -> str:
    """Return the id that links a call and its output within one reply; empty if it has none."""
    return str(turn.details.get("call_id", ""))


def is_unknown(turn: Turn) -> bool:
    """Return whether a turn is an output that was made up: the outcome of its call is unknown."""
    return turn.kind is TurnKind.TOOL_OUTPUT and turn.id.startswith(MADE_UP)


def tool_pairs(turns: Iterable[RecordedTurn]) -> list[ToolPair]:
    """Return the tool calls with their outputs, in the order of the record.

    An outcome that came in late replaces one that was recorded as unknown. Outputs without a call
    are left out.

    Args:
        turns: in the order of the record.
    """
    calls: dict[str, RecordedTurn] = {}
    newest: dict[str, str] = {}
    outputs: dict[str, RecordedTurn] = {}
    for recorded in turns:
        turn = recorded.turn
        if turn.kind is TurnKind.TOOL_CALL:
            calls[turn.id] = recorded
            newest[call_id_of(turn)] = turn.id
        elif turn.kind is TurnKind.TOOL_OUTPUT:
            named = turn.details.get(CALL_TURN)
            # By older records, it is the newest call of this id.
            call = named if isinstance(named, str) else newest.get(call_id_of(turn))
            if call is not None and (call not in outputs or is_unknown(outputs[call].turn)):
                outputs[call] = recorded
    return [ToolPair(call, outputs.get(turn_id)) for turn_id, call in calls.items()]
