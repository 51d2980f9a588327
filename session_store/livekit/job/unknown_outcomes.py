"""Tool calls with an unknown outcome: the job that ran them died before they returned.

They may have taken effect or not. So they are never run again, and the model is told exactly that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from livekit.agents import llm

from session_store.models import Turn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.models import RecordedTurn

OUTCOME_UNKNOWN: Final = (
    "outcome unknown: the call was interrupted; it was not repeated. It may have taken effect. "
    "Say so, and do not call it again unless the person asks for it."
)
STILL_RUNS: Final = "still_runs"
"""In the details of an output: the tool only reported and went on (LiveKit's ``ctx.update``)."""
FINAL: Final = "_final"
"""Suffix that LiveKit adds to a call's id, for the outcome of a tool that had reported before."""
_MADE_UP: Final = "unknown_"
_MAX_ID: Final = 128


def unknown_outcomes(turns: Iterable[RecordedTurn]) -> list[llm.ChatItem]:
    """Return what to record for the calls that were begun and never ended.

    Each output has the time of its call, so that the two are neighbours in the model's context.
    """
    calls: dict[str, Turn] = {}
    ended: set[str] = set()
    reported: set[str] = set()
    for turn in (recorded.turn for recorded in turns):
        call_id = str(turn.details.get("call_id", ""))
        if turn.kind is TurnKind.TOOL_CALL:
            calls[call_id] = turn
        elif turn.kind is TurnKind.TOOL_OUTPUT:
            ended.add(call_id)
            if turn.details.get(STILL_RUNS):
                reported.add(call_id)
    items: list[llm.ChatItem] = [
        _output(call_id, call) for call_id, call in calls.items() if call_id not in ended
    ]
    for call_id in calls.keys() & reported:
        final = call_id + FINAL
        if final not in ended and final not in calls:
            items += [_call(final, calls[call_id]), _output(final, calls[call_id])]
    return items


def is_unknown(turn: Turn) -> bool:
    """Return whether ``unknown_outcomes`` made up this turn."""
    return turn.kind is TurnKind.TOOL_OUTPUT and turn.id.startswith(_MADE_UP)


def _call(call_id: str, begun: Turn) -> llm.FunctionCall:
    return llm.FunctionCall(
        id=f"{_MADE_UP}call_{call_id}"[:_MAX_ID],
        call_id=call_id,
        name=str(begun.details.get("name", "")),
        arguments=str(begun.details.get("arguments", "{}")),
        created_at=begun.created_at,
    )


def _output(call_id: str, call: Turn) -> llm.FunctionCallOutput:
    return llm.FunctionCallOutput(
        # Named after the call, so it is recorded once, however many jobs find the call.
        id=f"{_MADE_UP}{call_id}"[:_MAX_ID],
        call_id=call_id,
        name=str(call.details.get("name", "")),
        output=OUTCOME_UNKNOWN,
        is_error=True,
        created_at=call.created_at,
    )
