"""What ``SessionStore`` returns, and what its callers hand back to it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from session_store.backends.values import DRAFT_ROLES
from session_store.errors import InvalidValue, NotGranted
from session_store.models import MAX_STATE_BYTES
from session_store.sealing.opening import newest_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from session_store.backends.values import (
        AgentPresence,
        JoinOutcome,
        LeaseRef,
        SealedWork,
        StoredSession,
    )
    from session_store.models import Draft, RecordedTurn, Session, SessionContent, Turn, Work
    from session_store.sealing.data_key import DataKey


MAX_CALL_TURNS: Final = 100
MAX_CALL_BYTES: Final = 1024 * 1024
"""Sealed turns of one call, so that it ends within its timeout. A single turn is smaller."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session and the turns that are kept of it, oldest first."""

    session: Session = field(repr=False)
    turns: tuple[RecordedTurn, ...] = field(repr=False)
    drafts: tuple[Draft, ...] = field(default=(), repr=False, kw_only=True)
    """Words that are not a turn yet, at most one draft of each role, oldest first."""
    work: Work | None = field(default=None, repr=False, kw_only=True)
    """What the program works on, as it was at the newest turn that was recorded with one. ``open``
    does not read it."""
    works_before: tuple[Work, ...] = field(default=(), repr=False, kw_only=True)
    """Works that no program could load and that were put aside, oldest first; of ``load`` alone."""


@dataclass(frozen=True, slots=True)
class Opened(Loaded):
    """The answer of ``open``."""

    resumed: bool
    """Whether the session existed before."""
    agent: AgentPresence


@dataclass(slots=True)
class Lease:
    """The right to write one session: each write carries it, and compares it atomically."""

    ref: LeaseRef
    data_key: DataKey = field(repr=False)
    last_seq: int
    """Number of the newest turn that was sealed under this lease or before it."""
    last_tag: bytes
    """Tag of that turn: the next turn is chained to it."""
    saved_seq: int
    """Number of the newest turn that the store acknowledged."""
    saved_tag: bytes
    version: int
    """Version of ``content``."""
    content: SessionContent = field(repr=False)
    granted: bool = True
    """False after a start without the store, until it grants the lease: see
    ``writing.offline_start``."""
    draft_number: int = 0
    """Number of the newest draft that was sealed under this lease or before it."""
    work: Work | None = field(default=None, repr=False)
    """What the program worked on when the lease was granted."""

    @classmethod
    def of(
        cls,
        ref: LeaseRef,
        stored: StoredSession,
        data_key: DataKey,
        content: SessionContent,
        work: Work | None = None,
    ) -> Self:
        """Return the lease that came with this session."""
        tag = newest_tag(stored)
        return cls(
            ref=ref,
            data_key=data_key,
            last_seq=stored.seq,
            last_tag=tag,
            saved_seq=stored.seq,
            saved_tag=tag,
            version=stored.version,
            content=content,
            draft_number=stored.draft_number,
            work=work,
        )

    @property
    def participant(self) -> str:
        """The participant's pseudonym."""
        return self.ref.participant

    @property
    def session_id(self) -> str:
        """The session that may be written."""
        return self.ref.session_id

    @property
    def fencing_token(self) -> int:
        """Grows strictly from holder to holder; 0 before the lease is granted."""
        return int(self.ref.fence)

    def ref_or_raise(self) -> LeaseRef:
        """Return the reference that each write carries.

        Raises:
            NotGranted: the lease was not granted yet.
        """
        if not self.granted:
            raise NotGranted(self.session_id)
        return self.ref

    def adopt(self, granted: Lease) -> None:
        """Become the lease that was granted late, for all parts that hold this object."""
        for attribute in fields(self):
            setattr(self, attribute.name, getattr(granted, attribute.name))


@dataclass(frozen=True, slots=True)
class Joined(Loaded):
    """The answer of ``join``."""

    outcome: JoinOutcome
    lease: Lease
    gap: timedelta = timedelta(0)
    """How long the participant was away, or without a job; zero if the session was new."""
    mark: str = field(default="", repr=False, kw_only=True)
    """Tells a store that came back empty from a session that was deleted; see
    ``SessionStore.was_emptied``."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The answer of ``arrive``."""

    counted: bool
    """Whether it was a return, and not only a restored transport."""
    reconnect_count: int


@dataclass(frozen=True, slots=True)
class SealedTurn:
    """A turn as it is written: sealed once; a resend sends the same bytes."""

    seq: int
    tag_before: bytes
    sealed: bytes
    turn: Turn | None = field(default=None, repr=False)
    """``None`` if another process sealed it."""
    settles: int = 0
    """Number of this turn's newest draft, which the append deletes; 0 for none."""
    work: SealedWork | None = None
    """What the program works on at this turn, if that has changed since the turn before."""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some of a participant's sessions, newest first."""

    total: int
    sessions: tuple[Session, ...]


class Replayed(StrEnum):
    """How the replay of a dead job's turns ended."""

    APPENDED = "appended"
    """They continue the record: no job had taken the lease."""
    LATE = "late"
    """Another job had taken it: they lie beside the record, ordered by time when read."""
    ERASED = "erased"
    """Their session was erased, so that they are dropped."""


def settled_by(turns: Iterable[SealedTurn]) -> dict[str, int]:
    """Return the number of the newest draft that these turns settle, by role."""
    settled: dict[str, int] = {}
    for sealed in turns:
        if sealed.settles and sealed.turn is not None and sealed.turn.role in DRAFT_ROLES:
            role = sealed.turn.role
            settled[role] = max(sealed.settles, settled.get(role, 0))
    return settled


def newest_work(turns: Sequence[SealedTurn]) -> SealedWork | None:
    """Return the work of these turns that the store needs; ``None`` if it did not change."""
    return next((turn.work for turn in reversed(turns) if turn.work is not None), None)


def refuse_large(work: bytes) -> None:
    """Refuse a work that is too large to be kept.

    Raises:
        InvalidValue: it is larger than ``MAX_STATE_BYTES``.
    """
    if len(work) > MAX_STATE_BYTES:
        raise InvalidValue(f"the state has {len(work)} bytes; at most {MAX_STATE_BYTES} are kept")


class _Sealed(Protocol):
    @property
    def sealed(self) -> bytes: ...


_SealedT = TypeVar("_SealedT", bound=_Sealed)


def batches(turns: Iterable[_SealedT]) -> Iterator[list[_SealedT]]:
    """Split sealed turns into batches of one call each, lazily."""
    batch: list[_SealedT] = []
    size = 0
    for turn in turns:
        is_full = len(batch) == MAX_CALL_TURNS or size + len(turn.sealed) > MAX_CALL_BYTES
        if batch and is_full:
            yield batch
            batch, size = [], 0
        batch.append(turn)
        size += len(turn.sealed)
    if batch:
        yield batch


def batches_of(turns: Sequence[SealedTurn]) -> Iterator[list[SealedTurn]]:
    """Split turns into batches, none of which ends where the work of its last turn was left out."""
    spans = [(work.since, work.seq) for turn in turns if (work := turn.work) is not None]
    while turns:
        batch = cut_batch(next(batches(turns)), spans)
        yield batch
        turns = turns[len(batch) :]


def cut_batch(batch: list[SealedTurn], spans: Iterable[tuple[int, int]]) -> list[SealedTurn]:
    """Shorten a batch, so that the store never has a work that is older than its newest turn.

    Args:
        batch: turns in order, without gaps.
        spans: from the first turn whose work was left out, to the turn with the work that is kept.
    """
    first, last = batch[0].seq, batch[-1].seq
    for since, kept in spans:
        if first < since <= last < kept:
            return batch[: since - first]
    return batch
