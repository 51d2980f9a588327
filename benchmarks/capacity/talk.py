"""People who talk with an agent at a steady pace, so that kinds of workers compare."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from dev.rig.notes import Kind
from dev.rig.programs import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dev.rig.person import Person

TURN_EVERY_S: Final = 6.0
"""So often somebody asks: a second of speech, one until the agent begins, two of its answer, and
time to think."""
QUESTION: Final = "what is my name?"
_ANSWERED_FROM: Final = 0.7
"""With fewer answers than this share of the questions there is no conversation to measure."""
_GREETED_WITHIN_S: Final = 120.0
"""A net, for a machine that is busy with other things."""
_GREETED_S: Final = 5.0
"""A greeting is spoken by then, and the newest warm process is ready."""


async def come_in(people: Sequence[Person]) -> None:
    """Let people in, and wait until each was greeted."""
    for person in people:
        await person.come()

        def is_heard(person: Person = person) -> bool:
            return bool(_words(person, after=0.0))

        await until(is_heard, "the agent greets", within_s=_GREETED_WITHIN_S)
    await asyncio.sleep(_GREETED_S)


class Talk:
    """Several conversations at once, for a while."""

    def __init__(
        self, speaking: Sequence[Person], typing: Sequence[Person], *, for_s: float
    ) -> None:
        self._speaking = speaking
        self._typing = typing
        self._rounds = max(1, int(for_s // TURN_EVERY_S))

    @property
    def questions_typed(self) -> int:
        """How many questions are typed altogether."""
        return self._rounds * len(self._typing)

    async def run(self) -> None:
        """Ask, again and again, and see that answers come.

        Raises:
            AssertionError: too few do.
        """
        began = time.monotonic()
        asking = [_ask(self._rounds, person.say) for person in self._speaking]
        asking += [_ask(self._rounds, _typed_by(person)) for person in self._typing]
        await asyncio.gather(*asking)
        for person in (*self._speaking, *self._typing):
            answers = len(_words(person, after=began))
            assert answers >= _ANSWERED_FROM * self._rounds, (
                f"{answers} answers to {self._rounds} questions:\n{person.notes.told()}"
            )


def _typed_by(person: Person) -> Callable[[str], Any]:
    async def type_(text: str) -> None:
        person.type(text)

    return type_


async def _ask(rounds: int, how: Callable[[str], Any]) -> None:
    began = time.monotonic()
    for number in range(1, rounds + 1):
        await how(QUESTION)
        await asyncio.sleep(began + number * TURN_EVERY_S - time.monotonic())


def _words(person: Person, *, after: float) -> set[str]:
    """Return the segments that an agent has said; each answer is at least one."""
    notes = person.notes.of(Kind.WORDS, after=after, where=lambda note: not note.fields["mine"])
    return {note.fields["segment"] for note in notes}
