"""Whether Redis holds what a participant was told to be saved: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from demo_models.understanding import INAUDIBLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dev.rig.person import Person
    from session_store import RecordedTurn


class Audit(NamedTuple):
    """What was compared, and what was found; all are numbers of turns."""

    acknowledged: int
    """Shown to the participant, and marked saved."""
    lost: int
    """Of these, not in Redis, or with other words."""
    doubled: int
    """In Redis more often than said."""

    def __add__(self, other: object) -> Audit:
        if not isinstance(other, Audit):
            return NotImplemented
        return Audit(*(mine + its for mine, its in zip(self, other, strict=True)))


NOTHING = Audit(0, 0, 0)


def audit(person: Person, recorded: Iterable[RecordedTurn]) -> Audit:
    """Compare what a person was told with what Redis holds.

    The same words are the same turn, unless the person has said them more than once; an agent says
    no whole sentence twice to one question. Sound with gaps is not understood, and may be that more
    than once.
    """
    turns = [each.turn for each in recorded]
    texts = {turn.id: turn.text for turn in turns}
    lost = [id_ for id_, turn in person.saved.items() if not _is_kept(turn, texts.get(id_))]
    by_id = Counter(turn.id for turn in turns)
    again: Counter[tuple[str, str]] = Counter(
        {("user", words): times - 1 for words, times in person.spoken.items()}
    )
    said: Counter[tuple[str, str]] = Counter()
    question = ""
    for turn in {turn.id: turn for turn in turns}.values():
        if turn.role == "user":
            question = turn.id
            if turn.text != INAUDIBLE:
                said["user", turn.text] += 1
        elif turn.role == "assistant" and not turn.interrupted:
            said[question, turn.text] += 1
    doubled = sum(count - 1 for count in by_id.values())
    doubled += sum(max(0, count - 1 - again[what]) for what, count in said.items())
    return Audit(len(person.saved), len(lost), doubled)


def _is_kept(turn: dict[str, Any], text: str | None) -> bool:
    """Return whether Redis holds a turn that the person was told of.

    A successor makes an interrupted turn of a draft. If the job before wakes once more, its whole
    turn comes in late, and replaces that: then there are more words.
    """
    told: str = turn["text"]
    return text == told or bool(text and turn["interrupted"] and text.startswith(told))
