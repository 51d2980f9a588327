"""Tool calls with an unknown outcome: the job that ran them died before they returned.

They may have taken effect or not. So they are never run again, and the model is told exactly that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from livekit.agents import llm

from session_store.livekit.job.tool_pairs import MADE_UP, call_id_of, tool_pairs
from session_store.models import MAX_ID_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.models import RecordedTurn, Turn

OUTCOME_UNKNOWN: Final = (
    "outcome unknown: the call was interrupted; it was not repeated. It may have taken effect. "
    "Say so, and do not call it again unless the person asks for it."
)
STILL_RUNS: Final = "still_runs"
"""In the details of an output: the tool only reported and went on (LiveKit's ``ctx.update``)."""
FINAL: Final = "_final"
"""Suffix that LiveKit adds to a call's id, for the outcome of a tool that had reported before."""


class MadeUp(NamedTuple):
    """An item to record."""

    item: llm.ChatItem
    call_turn: str | None = None
    """Of an output: the id of the turn of its call."""


def unknown_outcomes(turns: Iterable[RecordedTurn]) -> list[MadeUp]:
    """Return what to record for the calls that were begun and never ended.

    Each output has the time of its call, so that the two are neighbours in the model's context.
    """
    items: list[MadeUp] = []
    reported: dict[str, Turn] = {}
    for pair in tool_pairs(turns):
        call = pair.call.turn
        call_id = call_id_of(call)
        if call_id.endswith(FINAL):
            reported.pop(call_id.removesuffix(FINAL), None)
        if pair.output is None:
            items.append(MadeUp(_output(call_id, call), call.id))
        elif pair.output.turn.details.get(STILL_RUNS):
            reported[call_id] = call
    for call_id, call in reported.items():
        final = _call(call_id + FINAL, call)
        items += [MadeUp(final), MadeUp(_output(final.call_id, call), final.id)]
    return items


def _call(call_id: str, begun: Turn) -> llm.FunctionCall:
    return llm.FunctionCall(
        id=f"{MADE_UP}call_{begun.id}"[:MAX_ID_CHARS],
        call_id=call_id,
        name=str(begun.details.get("name", "")),
        arguments=str(begun.details.get("arguments", "{}")),
        created_at=begun.created_at,
    )


def _output(call_id: str, call: Turn) -> llm.FunctionCallOutput:
    final = FINAL if call_id != call_id_of(call) else ""
    return llm.FunctionCallOutput(
        # Named after the call's turn, so it is recorded once, however many jobs find the call.
        id=f"{MADE_UP}{call.id[: MAX_ID_CHARS - len(MADE_UP) - len(final)]}{final}",
        call_id=call_id,
        name=str(call.details.get("name", "")),
        output=OUTCOME_UNKNOWN,
        is_error=True,
        created_at=call.created_at,
    )
