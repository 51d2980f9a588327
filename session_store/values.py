"""What ``SessionStore`` returns, and what its callers hand back to it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING

from session_store.backends.values import DRAFT_ROLES
from session_store.errors import NotGranted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.backends.values import AgentPresence, JoinOutcome, LeaseRef
    from session_store.models import Draft, RecordedTurn, Session, SessionContent, Turn
    from session_store.sealing.crypto import DataKey


@dataclass(frozen=True, slots=True)
class Loaded:
    """A session and the turns that are kept of it, oldest first."""

    session: Session = field(repr=False)
    turns: tuple[RecordedTurn, ...] = field(repr=False)
    drafts: tuple[Draft, ...] = field(default=(), repr=False, kw_only=True)
    """What was being said and is no turn yet, at most one of each role, oldest first."""


@dataclass(frozen=True, slots=True)
class Opened(Loaded):
    """The answer of ``open``."""

    resumed: bool
    """Whether the session existed before."""
    agent: AgentPresence


@dataclass(slots=True)
class Lease:
    """The right to write one session: shown with every write, compared inside of it."""

    ref: LeaseRef
    data_key: DataKey = field(repr=False)
    last_seq: int
    """Number of the newest turn that was sealed under this lease or before it."""
    last_tag: bytes
    """Its tag: the next turn is chained to it."""
    saved_seq: int
    """Number of the newest turn that the store acknowledged."""
    saved_tag: bytes
    version: int
    """Version of ``content``."""
    content: SessionContent = field(repr=False)
    granted: bool = True
    """False while the store is away since before the join: see ``writing.offline_start``."""
    draft_number: int = 0
    """Number of the newest draft that was sealed under this lease or before it."""

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
        """Strictly increasing from holder to holder; 0 before it is granted."""
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
        """Become the lease that was granted at last, for all who hold this one."""
        for each in fields(self):
            setattr(self, each.name, getattr(granted, each.name))


@dataclass(frozen=True, slots=True)
class Joined(Loaded):
    """The answer of ``join``."""

    outcome: JoinOutcome
    lease: Lease


@dataclass(frozen=True, slots=True)
class Arrival:
    """The answer of ``arrive``."""

    counted: bool
    """Whether it was a return, rather than a transport that was restored."""
    reconnect_count: int


@dataclass(frozen=True, slots=True)
class SealedTurn:
    """A turn as it is written: sealed once, and resent as these very bytes."""

    seq: int
    tag_before: bytes
    sealed: bytes
    turn: Turn | None = field(default=None, repr=False)
    """``None`` for one that another process has sealed."""
    settles: int = 0
    """Number of the newest draft of this turn, which goes when it is written; 0 for none."""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some of a participant's sessions, newest first."""

    total: int
    sessions: tuple[Session, ...]


class Replayed(StrEnum):
    """What became of turns that a dead job left."""

    APPENDED = "appended"
    """They continue the record: nobody had taken the lease."""
    LATE = "late"
    """Somebody had: they lie beside the record, and are read in by their time."""
    ERASED = "erased"
    """Their session was erased meanwhile; they are dropped."""


def settled_by(turns: Iterable[SealedTurn]) -> dict[str, int]:
    """Return the number of the newest draft that these turns settle, by role."""
    settled: dict[str, int] = {}
    for each in turns:
        if each.settles and each.turn is not None and each.turn.role in DRAFT_ROLES:
            settled[each.turn.role] = max(each.settles, settled.get(each.turn.role, 0))
    return settled
