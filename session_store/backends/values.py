"""What the store and a backend pass to each other: requests, answers and stored records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.events import Event
    from session_store.sealing.data_key import WrappedKey


class AgentPresence(StrEnum):
    """Whether a session has an agent."""

    PRESENT = "PRESENT"
    """A job holds the lease."""
    EXPECTED = "EXPECTED"
    """An agent was dispatched a moment ago."""
    WANTED = "WANTED"
    """No agent was dispatched; this caller, and no other, must dispatch one."""
    ABSENT = "ABSENT"
    """No agent was dispatched, and the caller made no claim; or no participant needs one."""
    GAVE_UP = "GAVE_UP"
    """Too many of its agents died; none is dispatched for a while."""
    ENDED = "ENDED"
    GONE = "GONE"


class JoinOutcome(StrEnum):
    """What a job's join was for the participant."""

    CREATED = "created"
    REJOINED = "rejoined"
    """A return; it was counted."""
    TAKEN_OVER = "taken_over"
    """The participant never went away; the job before died."""
    HANDED_OVER = "handed_over"
    """The same, but the job before had given its lease back."""


class OpenMode(StrEnum):
    """Which session ``open`` finds."""

    RESUME = "resume"
    """The newest one, if its resume window is open; otherwise a new one."""
    NEW = "new"
    """A new one in any case."""
    SWITCH = "switch"
    """The wanted one, even if it has ended: it goes on."""


class Consent(NamedTuple):
    """What a participant has agreed to."""

    given: bool
    version: str
    """Version of the text that the participant agreed to."""
    at: int
    """When, in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class StoredParticipant:
    """The record of a participant, without sessions. Times are Unix milliseconds."""

    wrapped: WrappedKey
    created: int
    consent: Consent | None
    retention_ms: int | None
    """The participant's own retention; ``None`` for the default."""


class LateTurn(NamedTuple):
    """A turn sealed under a lease that was lost before it could be written."""

    fence: int
    """Fencing token of that lease. With ``seq`` it names the turn, so none is kept twice."""
    seq: int
    tag_before: bytes
    sealed: bytes


class SealedDraft(NamedTuple):
    """Words that are being said and are not a turn yet."""

    role: str
    """One of ``DRAFT_ROLES``; each role has one slot."""
    number: int
    """Counts the drafts of the session, across leases."""
    sealed: bytes


class SealedWork(NamedTuple):
    """What the program works on, as it was when a turn was recorded."""

    seq: int
    """Number of that turn. A work never replaces one with the same number or a higher one.

    0 for that of a conversation that never joined."""
    sealed: bytes
    keeps: int | None = None
    """Number of a stored work that is put aside when this one replaces it."""
    since: int = 0
    """Number of the first turn whose own work was left out for this one; 0 for none. No batch
    ends between the two. A backend does not need it."""


MAX_WORKS_BEFORE = 4
"""How many works of a session are kept aside. After that, the oldest ones stay."""

DRAFT_ROLES = ("user", "assistant")


STATES = frozenset({"new", "live", "away", "ended"})


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the backend stores it, sealed. Times are Unix milliseconds."""

    id: str
    wrapped: WrappedKey
    now: int
    state: str
    reconnect_count: int
    joined_at: int
    """0 before the first join."""
    last_seen: int
    seq: int
    version: int
    fence: str
    owner: str
    lease_until: int
    window_until: int
    ended_at: int
    """0 unless the session has ended."""
    talk_ms: int
    """Total length of all visits that are over."""
    gap_ms: int
    """What the newest join ended: how long the participant was away, or without a job."""
    scope: str
    """See ``JoinAttempt.scope``."""
    head: bytes
    """Tag of the turn before the first of ``turns``; empty before the very first turn."""
    content: bytes | None
    turns: Sequence[bytes]
    """Oldest first; the last one has the number ``seq``."""
    late: Sequence[LateTurn] = ()
    """Turns that arrived after a takeover; at most ``max_turns``."""
    drafts: Sequence[SealedDraft] = ()
    """Words that are not a turn yet: at most one draft of each role, by number."""
    draft_number: int = 0
    """The highest number of a draft that is kept or became a turn."""
    work: SealedWork | None = None
    """Not in the answers of ``open`` and ``sessions``, which need none."""
    works_before: Sequence[SealedWork] = ()
    """Works that were put aside, oldest first; where ``work`` is."""


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Some of a participant's sessions, newest first, without turns."""

    total: int
    sessions: Sequence[StoredSession]


@dataclass(frozen=True, slots=True)
class LeaseRef:
    """What a write must prove: the holder of the lease, and its fencing token."""

    participant: str
    session_id: str
    owner: str
    fence: str
    data_key_id: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """Id and data key for a session or participant that must be created."""

    session_id: str
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class JoinAttempt:
    """How a job joins."""

    owner: str
    """A nonce: names this join, and then the holder of the lease."""
    load: str
    """Names the participant's page load or call; empty if unknown."""
    exact: bool
    """Whether only the wanted session will do."""
    room: str = ""
    """A MAC of the job's room; empty if it has none."""
    came_ms: int = 0
    """When the participant came to this room, by LiveKit's clock in Unix milliseconds; 0 if that is
    not known. Only times of this kind are compared."""
    scope: str = ""
    """A MAC of what a conversation is kept apart by, such as the agent's name: a session of another
    scope is not found. Empty for all sessions. Sessions of earlier versions have no scope; every
    caller finds them, and the first one gives them its own."""


@dataclass(frozen=True, slots=True)
class FoundSession:
    """The answer of ``open`` and ``join``."""

    session: StoredSession
    created: bool
    """Whether the session is new."""
    events: Sequence[Event]
    """The events of this call, as published."""
    mark: str = ""
    """Of a join: the mark of the participant's shard, which is there until all is lost."""


@dataclass(frozen=True, slots=True)
class ArrivalAnswer:
    """The answer of ``arrive``."""

    counted: bool
    reconnect_count: int
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class LeaveAnswer:
    """The answer of ``leave``."""

    window_until: int
    """In Unix milliseconds."""
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Erased:
    """The answer of ``erase``: what was erased, and the proof that nothing is left."""

    sessions: int
    left_over: int
    """Keys of the participant that still exist after the erasure: 0."""
    events: Sequence[Event]


class SessionRef(NamedTuple):
    """Names a session: its participant and its id."""

    participant: str
    session_id: str


class SettleOutcome(StrEnum):
    """What a sweeper found when it looked at a session."""

    LATER = "LATER"
    """Nothing is due yet; the deadline was moved."""
    LATE = "LATE"
    """Nothing is due yet, but the holder has not renewed the lease for most of its length and may
    be dead."""
    ORPHANED = "ORPHANED"
    """It may lack its agent: the participant is there or was admitted, and the lease has run out.
    Every sweeper hears this again after each length of a lease, until one of them acts;
    ``claim_orphan`` decides which one."""
    OVERDUE = "OVERDUE"
    """The same, but no lease has run out: the dispatched agent did not come in time, or gave its
    lease back, or is in a room that its participant has left for an earlier one."""
    ENDED = "ENDED"
    """Its resume window has passed, and it was ended now."""
    ERASED = "ERASED"
    """Its retention has passed, and it was erased now; with the last one goes its participant."""
    GONE = "GONE"
    """It does not exist; its deadline was removed."""


@dataclass(frozen=True, slots=True)
class SettleAnswer:
    """The answer of ``settle``."""

    outcome: SettleOutcome
    deadline: int
    """When to look again, in Unix milliseconds; 0 for never."""
    events: Sequence[Event]


class LiveSweepers(NamedTuple):
    """The answer of ``sweepers``."""

    names: Sequence[str]
    now: int
    """The store's clock, in Unix milliseconds."""
    was_set_back: bool = False
    """Whether a sweeper reported at a later time: the store's clock was set back since."""


class AuditEntry(NamedTuple):
    """An entry of the audit stream, as the backend stores it."""

    id: str
    fields: Mapping[str, str]
