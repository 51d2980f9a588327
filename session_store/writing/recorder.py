"""Ordered write-behind of turns: the conversation never waits for the store.

A turn is numbered and sealed when it is recorded. Each retry writes the same bytes. Turns that are
recorded in one tick of the event loop share an append, and so do turns that arrive during an
append. While the store is unreachable, turns wait here in order, up to a limit.

What the program works on goes with the turn that it was recorded with, in the same write, if it has
changed since the turn before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from session_store.errors import (
    LeaseLost,
    RecorderFull,
    SequenceGap,
    SessionGone,
    WriteConflict,
)
from session_store.tasks import Loop, Outage
from session_store.values import (
    MAX_CALL_BYTES,
    MAX_CALL_TURNS,
    batches,
    cut_batch,
    refuse_large,
)
from session_store.writing.work_queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from session_store.errors import SessionStoreError
    from session_store.models import Turn
    from session_store.store import SessionStore
    from session_store.values import Lease, SealedTurn
    from session_store.writing.work_queue import KeptWork, Place

logger = logging.getLogger(__name__)

KEPT_SENT: Final = 2 * MAX_CALL_TURNS
"""Acknowledged turns that are kept, to resend them after a failover that undid them."""
KEPT_SENT_BYTES: Final = 4 * MAX_CALL_BYTES
DEFAULT_MAX_BYTES: Final = 16 * 1024 * 1024


class _Queue:
    """Sealed turns in order, and their size in bytes."""

    def __init__(self) -> None:
        self.turns: deque[SealedTurn] = deque()
        self.bytes = 0

    def push(self, turn: SealedTurn) -> None:
        self.turns.append(turn)
        self.bytes += len(turn.sealed)

    def push_front(self, turn: SealedTurn) -> None:
        self.turns.appendleft(turn)
        self.bytes += len(turn.sealed)

    def pop(self) -> SealedTurn:
        turn = self.turns.pop()
        self.bytes -= len(turn.sealed)
        return turn

    def pop_front(self) -> SealedTurn:
        turn = self.turns.popleft()
        self.bytes -= len(turn.sealed)
        return turn


class Recorder:
    """Writes the turns of one lease, in order, each once."""

    def __init__(
        self,
        store: SessionStore,
        lease: Lease,
        *,
        on_saved: Callable[[Sequence[SealedTurn]], None] | None = None,
        on_lost: Callable[[SessionStoreError], None] | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        """Make a recorder; it begins to write with the first turn.

        Args:
            store: where the turns go.
            lease: only this recorder may seal turns under it.
            on_saved: called with turns that the store has now; again with turns that a failover
                undid, once they are written again. Must neither block nor raise.
            on_lost: called once, when nothing can be written any more. Must not block or raise.
            max_bytes: how much may wait. The turn that exceeds it is still taken.
        """
        self._store = store
        self._lease = lease
        self._on_saved = on_saved
        self._on_lost = on_lost
        self._max_bytes = max_bytes
        self._waiting = _Queue()
        self._sent = _Queue()
        self._works = WorkQueue()
        """Of turns in both queues."""
        self._withdrawn_works = WorkQueue()
        self._work = None if lease.work is None else lease.work.data
        """As of the newest turn."""
        self._keeps: int | None = None
        """See ``SealedWork.keeps``."""
        self._saved_seq = lease.saved_seq
        self._asking: dict[int, list[asyncio.Future[bool]]] = {}
        self._withdrawn: dict[int, list[asyncio.Future[bool]]] = {}
        self._begun: dict[int, float] = {}
        """When each unsaved turn was recorded, by its number; in the loop's time."""
        self._begun_before: dict[int, float] = {}
        """The same for withdrawn turns."""
        self._told = (0, 0)
        """Turns and bytes that wait, as last told to the meter."""
        self._wake = asyncio.Event()
        self._loop = Loop(self._write, name="recorder")
        self._lost = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many turns the store has not acknowledged yet."""
        return len(self._waiting.turns)

    def unsaved(self) -> tuple[SealedTurn, ...]:
        """Return the turns that wait, in order, for a spool.

        After a lost lease they can still be written as late turns. Of an erased session there are
        none.
        """
        turns = list(self._waiting.turns)
        for kept in self._works.works:
            if turns and kept.seq >= turns[0].seq:
                self._attach(turns, kept)
        return tuple(turns)

    def record(self, turn: Turn, settles: int = 0, work: bytes | None = None) -> SealedTurn:
        """Number and seal a turn, and queue it. Never blocks.

        After the lease was lost (``on_lost``) a turn is numbered but not kept.

        Args:
            turn: the turn.
            settles: number of its newest draft, which the append deletes; 0 for none.
            work: what the program works on now, which a successor gets. It is not sent if it has
                not changed. ``None`` leaves it as it was.

        Raises:
            InvalidValue: the turn is not valid, or the work is larger than ``MAX_STATE_BYTES``;
                nothing was queued.
            RecorderFull: too much waits already. The turn gets no number and leaves no gap.
        """
        if self._waiting_bytes() >= self._max_bytes and not self._lost:
            self._store.meter.turns_lost(1)
            raise RecorderFull(self._lease.session_id, self.waiting)
        if work is not None:
            refuse_large(work)
        sealed = self._store.seal(self._lease, turn, settles)
        if self._lost:
            return sealed
        self._begun[sealed.seq] = asyncio.get_running_loop().time()
        self._queue(sealed, None if work == self._work else work)
        if work is not None:
            self._work = work
        self._tell_meter()
        self._begin()
        return sealed

    def work_unread(self) -> None:
        """Keep the work of the join aside: the program could not load it.

        It is put aside in the same write in which another one replaces it.
        """
        if self._lease.work is not None:
            self._keeps = self._lease.work.seq

    async def saved(self, seq: int, timeout_s: float | None = None) -> bool:
        """Wait until the store has acknowledged a recorded turn.

        Returns:
            Whether the store has it. False if this recorder will not write it any more, or did
            not within ``timeout_s``.
        """
        if seq <= self._saved_seq:
            return True
        if self._lost or self._closed:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asking = self._asking.setdefault(seq, [])
        asking.append(answer)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            return False
        finally:
            if not answer.done() or answer.cancelled():
                asking.remove(answer)

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; return whether that happened within ``timeout_s``."""
        return not self._lost and await self.saved(self._lease.last_seq, timeout_s)

    def resend_after(self, current: int) -> bool:
        """Send all turns after ``current`` again, because a failover undid them.

        Returns:
            False if they are not kept any more. Then nothing more can be written, and
            ``on_lost`` was called.
        """
        if self._lost:
            return False
        back = 0
        while self._sent.turns and self._sent.turns[-1].seq > current:
            self._waiting.push_front(self._sent.pop())
            back += 1
        next_seq = self._waiting.turns[0].seq if self._waiting.turns else self._lease.last_seq + 1
        if next_seq > current + 1:
            self._give_up(SequenceGap(self._lease.session_id, current))
            return False
        if back:
            self._tell_meter()
            self._saved_seq = min(self._saved_seq, current)
            logger.warning(
                "the store lost turns; sending them again",
                extra={"session_id": self._lease.session_id, "turns": back},
            )
            self._begin()
        return True

    def withdraw(self, *, forgets_work: bool = False) -> tuple[SealedTurn, ...]:
        """Take back the turns that wait, to number them again. None of them was written.

        For a lease that was granted late: see ``session_store.writing.offline_start``. With
        ``forgets_work``, their program goes on with the work that the store has.
        """
        waiting, self._waiting = self._waiting, _Queue()
        self._withdrawn_works = WorkQueue() if forgets_work else self._works
        self._works = WorkQueue()
        self._withdrawn, self._asking = self._asking, {}
        self._begun_before, self._begun = self._begun, {}
        return tuple(waiting.turns)

    def renumber(
        self, withdrawn: Iterable[SealedTurn], known: Container[str]
    ) -> tuple[SealedTurn, ...]:
        """Number, seal and queue withdrawn turns, after turns that were recorded since.

        Their works go with them. The newest one replaces that of the session, which is put aside.

        Args:
            withdrawn: the turns that ``withdraw`` returned.
            known: ids of turns that the store has; withdrawn turns with these ids are dropped.

        Returns:
            The turns as they will be written.
        """
        # Nothing is written before this tick ends, so no waiter is answered too early.
        self._saved_seq = max(self._saved_seq, self._lease.saved_seq)
        asking, self._withdrawn = self._withdrawn, {}
        begun, self._begun_before = self._begun_before, {}
        renumbered: dict[int, SealedTurn] = {}
        for old in withdrawn:
            if old.turn is not None and old.turn.id not in known:
                new = self._store.seal(self._lease, old.turn)
                self._waiting.push(new)
                if old.seq in begun:
                    self._begun[new.seq] = begun[old.seq]
                renumbered[old.seq] = new
            if old.seq in asking:
                self._asking.setdefault(self._lease.last_seq, []).extend(asking[old.seq])
        self._renumber_works(renumbered)
        self._tell_meter()
        if self._waiting.turns:
            self._begin()
        else:
            self._answer_all(is_saved=True)
        return tuple(renumbered.values())

    def _renumber_works(self, renumbered: Mapping[int, SealedTurn]) -> None:
        withdrawn, self._withdrawn_works = self._withdrawn_works, WorkQueue()
        self._works.take(withdrawn, renumbered)
        waiting, stored = self._works.works, self._lease.work
        self._work = None if stored is None else stored.data
        if waiting and stored is not None and waiting[-1].data != self._work:
            self._keeps = stored.seq
        if waiting:
            self._work = waiting[-1].data

    def begin_again(self, turns: Iterable[Turn]) -> tuple[SealedTurn, ...]:
        """Number, seal and queue these turns under a lease that begins at 1; forget all others.

        For a store that has lost everything. The last turn gets the newest work. Returns the turns
        as they will be written, unless they are withdrawn before.
        """
        self._lost = False
        self._waiting, self._sent, self._works = _Queue(), _Queue(), WorkQueue()
        self._saved_seq, self._keeps = self._lease.saved_seq, None
        self._begun.clear()
        sealed = tuple(self._store.seal(self._lease, turn) for turn in turns)
        first = self._works.next_place(self._lease.saved_seq + 1)
        for turn in sealed[:-1]:
            self._queue(turn, None)
        for turn in sealed[-1:]:
            self._queue(turn, self._work, since=first)
        self._work = self._work if sealed else None
        self._tell_meter()
        return sealed

    async def aclose(self) -> None:
        """Stop writing. ``flush`` first; turns that still wait are ``unsaved``."""
        self._closed = True
        await self._loop.aclose()
        self._tell_meter(waits=False)
        self._answer_all(is_saved=False)

    def _queue(self, sealed: SealedTurn, work: bytes | None, *, since: Place | None = None) -> None:
        self._waiting.push(sealed)
        self._works.add(sealed.seq, len(sealed.sealed), work, since=since)

    def _waiting_bytes(self) -> int:
        waiting = self._waiting
        return waiting.bytes + (self._works.size(waiting.turns[0].seq) if waiting.turns else 0)

    def _next_batch(self) -> list[SealedTurn]:
        batch = cut_batch(next(batches(self._waiting.turns)), self._works.spans())
        kept = self._works.newest(batch[0].seq, batch[-1].seq)
        if kept is not None:
            self._attach(batch, kept)
        return batch

    def _attach(self, turns: list[SealedTurn], kept: KeptWork) -> None:
        """Seal a work, and put it to its turn."""
        work = self._store.seal_work(
            self._lease, kept.seq, kept.data, keeps=self._keeps, since=kept.since.seq
        )
        place = kept.seq - turns[0].seq
        turns[place] = replace(turns[place], work=work)

    def _begin(self) -> None:
        self._wake.set()
        if not self._closed:
            self._loop.start()

    async def _write(self) -> None:
        outage = Outage(logger, "turns", self._lease.session_id)
        while not self._lost:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting.turns and not self._lost:
                batch = self._next_batch()
                try:
                    await self._store.append(self._lease, batch)
                except SequenceGap as gap:
                    if not self.resend_after(gap.current):
                        return
                except (LeaseLost, SessionGone, WriteConflict) as error:
                    self._give_up(error)
                    return
                except Exception as error:  # noqa: BLE001 (after any failure the turns must be kept)
                    await outage.pause(error, waiting=self.waiting)
                else:
                    outage.over(waiting=self.waiting)
                    self._acknowledge(batch[-1].seq)
                    # Parts that waited for these may record more turns now, which share a batch.
                    await asyncio.sleep(0)

    def _acknowledge(self, seq: int) -> None:
        """Note that the store has every turn up to this one.

        The queue may have changed during the append: a resend puts turns in front.
        """
        saved = []
        while self._waiting.turns and self._waiting.turns[0].seq <= seq:
            turn = self._waiting.pop_front()
            self._sent.push(turn)
            saved.append(turn)
        while len(self._sent.turns) > KEPT_SENT or self._sent.bytes > KEPT_SENT_BYTES:
            self._sent.pop_front()
        if queue := self._sent.turns or self._waiting.turns:
            self._works.forget_before(queue[0].seq)
        self._saved_seq = max(self._saved_seq, seq)
        self._tell_meter()
        now = asyncio.get_running_loop().time()
        for turn in saved:
            if (begun := self._begun.pop(turn.seq, None)) is not None:
                self._store.meter.turn_saved(now - begun)
            for answer in self._asking.pop(turn.seq, ()):
                if not answer.done():
                    answer.set_result(True)
        if saved and self._on_saved is not None:
            try:
                self._on_saved(saved)
            except Exception as error:  # noqa: BLE001 (the turns are saved in any case)
                logger.error(  # noqa: TRY400 (its text may hold anything)
                    "on_saved failed", extra={"error": type(error).__name__}
                )

    def _give_up(self, error: SessionStoreError) -> None:
        if self._lost:
            return
        self._lost = True
        if isinstance(error, SessionGone):
            self._waiting, self._works = _Queue(), WorkQueue()
        self._sent = _Queue()
        self._answer_all(is_saved=False)
        self._wake.set()
        if self._on_lost is not None:
            self._on_lost(error)

    def _tell_meter(self, *, waits: bool = True) -> None:
        """Tell the meter what has changed. Without ``waits``, no turn counts as waiting here."""
        before = self._told
        self._told = (self.waiting, self._waiting.bytes) if waits else (0, 0)
        turns, size = (now - then for now, then in zip(self._told, before, strict=True))
        if turns or size:
            self._store.meter.unsaved_changed(turns, size)

    def _answer_all(self, *, is_saved: bool) -> None:
        for answers in self._asking.values():
            for answer in answers:
                if not answer.done():
                    answer.set_result(is_saved)
        self._asking.clear()
