"""What the agent still owes to the participant, by the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from session_store.livekit.job.tool_pairs import is_unknown, tool_pairs
from session_store.models import RECOVERED, TurnKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.models import RecordedTurn, Turn


class Owed(NamedTuple):
    """What has no answer yet. True if there is anything."""

    turns: frozenset[str]
    """Ids of the turns that want an answer: the participant's words, and outcomes of tools."""
    is_unknown: bool
    """Whether the outcome of a tool is unknown: then the answer explains that, and no tool is
    called for it, or the same call might run twice."""
    begun: frozenset[str] = frozenset()
    """Ids of the turns in which a job was answering when it died. The answer begins anew, so the
    model is not given them."""

    def __bool__(self) -> bool:
        """Return whether an answer is due."""
        return bool(self.turns)


def owed(turns: Sequence[RecordedTurn]) -> Owed:
    """Return what the agent owes an answer to: the participant's last words, or a tool's outcome.

    The order is by the time of the turns: words that a successor recovered are recorded last, but
    may have been answered long ago. An unknown outcome has the time of its call; it is answered by
    what the agent says after it was recorded. An answer that its job did not live to finish is
    still owed.
    """
    unknown = _unexplained(turns)
    waiting: list[str] = []
    begun: list[str] = []
    for turn in sorted((recorded.turn for recorded in turns), key=lambda turn: turn.created_at):
        if _is_cut_off(turn):
            begun.append(turn.id)
        elif _is_said(turn, "assistant"):
            waiting.clear()
            begun.clear()
        elif _is_said(turn, "user") or _wants_reply(turn):
            waiting.append(turn.id)
    return Owed(frozenset({*waiting, *unknown}), bool(unknown), frozenset(begun if waiting else ()))


def is_unbegun(turns: Sequence[RecordedTurn]) -> bool:
    """Return whether nothing was said so far, or only the beginning of a greeting."""
    return all(_is_cut_off(recorded.turn) for recorded in turns)


def _unexplained(turns: Sequence[RecordedTurn]) -> list[str]:
    """Return the ids of the unknown outcomes that the agent has not talked about."""
    spoke_at = max(
        (
            recorded.seq
            for recorded in turns
            if _is_said(recorded.turn, "assistant")
            and not recorded.late
            and not recorded.turn.details.get(RECOVERED)
        ),
        default=0,
    )
    return [
        pair.output.turn.id
        for pair in tool_pairs(turns)
        if pair.output is not None and is_unknown(pair.output.turn) and pair.output.seq > spoke_at
    ]


def _is_cut_off(turn: Turn) -> bool:
    """Return whether an agent was saying this when its job died."""
    return turn.role == "assistant" and bool(turn.details.get(RECOVERED))


def _is_said(turn: Turn, role: str) -> bool:
    # A message without words, such as a turn that was cleared, is not anybody's last word.
    return turn.role == role and bool(turn.text.strip() or turn.details.get("content"))


def _wants_reply(turn: Turn) -> bool:
    return turn.kind is TurnKind.TOOL_OUTPUT and bool(turn.details.get("reply_required", True))
