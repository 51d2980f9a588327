"""What the program works on, beside the turns of a recorder that may still have to be sent.

Of turns that fit into one batch, the last work is enough: the earlier ones would be overwritten in
the same script. So a state of 64 KiB that changes with each turn takes no room for each turn. No
batch may then end at a turn whose own work was left out, because a job may be killed between two
batches, and what the store has must fit together.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from session_store.values import MAX_CALL_BYTES, MAX_CALL_TURNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from session_store.values import SealedTurn


class Place(NamedTuple):
    """A turn, and how many bytes of turns came before it."""

    seq: int
    bytes_before: int


class KeptWork(NamedTuple):
    """A work, and the turns that it stands for."""

    since: Place
    """The first turn whose own work was left out for this one; else the turn itself."""
    seq: int
    """The turn with which it was recorded."""
    data: bytes


class WorkQueue:
    """Works in the order of their turns."""

    def __init__(self) -> None:
        self.works: deque[KeptWork] = deque()
        self._bytes = 0

    def next_place(self, seq: int) -> Place:
        """Return the place of a turn that is added next."""
        return Place(seq, self._bytes)

    def add(self, seq: int, size: int, work: bytes | None, *, since: Place | None = None) -> None:
        """Note a turn.

        Args:
            seq: number of the turn, one more than that of the turn before.
            size: its bytes, sealed.
            work: what the program works on at this turn; ``None`` if that has not changed.
            since: the first turn before this one whose own work was left out already.
        """
        place = since or self.next_place(seq)
        self._bytes += size
        if work is None:
            return
        if self.works and self._fits(self.works[-1].since, seq):
            place = self.works.pop().since
        self.works.append(KeptWork(place, seq, work))

    def take(self, others: WorkQueue, turns: Mapping[int, SealedTurn]) -> None:
        """Add turns that were numbered again, and the works that they had before.

        Args:
            others: the works under the numbers before.
            turns: the turns with their new numbers, by those before. Where the turn of a work is
                missing, the next one gets the work, or else the last one.
        """
        left, last = deque(others.works), max(turns, default=0)
        since: Place | None = None
        for seq, turn in turns.items():
            work, place = None, self.next_place(turn.seq)
            while left and (left[0].seq <= seq or seq == last):
                work = left.popleft().data
            if left and left[0].since.seq <= seq:
                since = since or place
            self.add(turn.seq, len(turn.sealed), work, since=since)
            since = None if work is not None else since

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield where no batch may end: see ``values.cut_batch``."""
        return ((work.since.seq, work.seq) for work in self.works)

    def newest(self, first: int, last: int) -> KeptWork | None:
        """Return the newest work of these turns; ``None`` if it did not change there."""
        found = (work for work in reversed(self.works) if first <= work.seq <= last)
        return next(found, None)

    def size(self, first: int) -> int:
        """Return the bytes of the works from this turn on."""
        return sum(len(work.data) for work in self.works if work.seq >= first)

    def forget_before(self, first: int) -> None:
        """Drop the works of turns before this one, which are not sent again."""
        while self.works and self.works[0].seq < first:
            self.works.popleft()

    def _fits(self, since: Place, last: int) -> bool:
        """Return whether the turns up to the newest one fit into one batch."""
        count = last - since.seq + 1
        return count <= MAX_CALL_TURNS and self._bytes - since.bytes_before <= MAX_CALL_BYTES
