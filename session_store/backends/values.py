"""What the store and a backend pass to each other: requests, answers and stored records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.events import Event
    from session_store.sealing.crypto import WrappedKey


class AgentPresence(StrEnum):
    """Whether a session has an agent."""

    PRESENT = "PRESENT"
    """A job holds the lease."""
    EXPECTED = "EXPECTED"
    """Somebody dispatched one a moment ago."""
    WANTED = "WANTED"
    """Nobody did; this caller, and no other, is to dispatch one."""
    ABSENT = "ABSENT"
    """Nobody did, and the caller did not ask to; or nobody is there who would need one."""
    GAVE_UP = "GAVE_UP"
    """Its agents died again and again; none is dispatched for a while."""
    ENDED = "ENDED"
    GONE = "GONE"


class JoinOutcome(StrEnum):
    """What a job's join was for the participant."""

    CREATED = "created"
    REJOINED = "rejoined"
    """A return; it was counted."""
    TAKEN_OVER = "taken_over"
    """The participant had never gone: the job before did."""


class OpenMode(StrEnum):
    """Which session ``open`` is to find."""

    RESUME = "resume"
    """The newest, if its resume window is open; else a new one."""
    NEW = "new"
    """A new one in any case."""
    SWITCH = "switch"
    """The wanted one, also if it has ended: it goes on."""


class Consent(NamedTuple):
    """What a participant has agreed to."""

    given: bool
    version: str
    """Of the text that was agreed to."""
    at: int
    """When, in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class StoredParticipant:
    """What is kept of a participant besides sessions. Times are Unix milliseconds."""

    wrapped: WrappedKey
    created: int
    consent: Consent | None
    retention_ms: int | None
    """The participant's own; ``None`` where the default counts."""


class LateTurn(NamedTuple):
    """A turn sealed under a lease that was lost before it could be written."""

    fence: int
    """Of that lease: with ``seq`` it names the turn, so that none is kept twice."""
    seq: int
    tag_before: bytes
    sealed: bytes


class SealedDraft(NamedTuple):
    """What is being said and is no turn yet."""

    role: str
    """One of ``DRAFT_ROLES``; each has one slot."""
    number: int
    """Counts the drafts of the session, over leases too."""
    sealed: bytes


DRAFT_ROLES = ("user", "assistant")


STATES = frozenset({"new", "live", "away", "ended"})


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it lies in the backend, still sealed. Times are Unix milliseconds."""

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
    """0 unless it has ended."""
    talk_ms: int
    """How long the participant was there, over all visits that are over."""
    head: bytes
    """Tag of the turn before the first of ``turns``; empty where that is the very first."""
    content: bytes | None
    turns: Sequence[bytes]
    """Oldest first; the last one has number ``seq``."""
    late: Sequence[LateTurn] = ()
    """Turns that came in after a takeover; at most as many as ``turns`` may be."""
    drafts: Sequence[SealedDraft] = ()
    """What was being said and is no turn yet, at most one of each role, by number."""
    draft_number: int = 0
    """The highest number of a draft that is kept, or was settled by a turn."""


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Some of a participant's sessions, newest first; without turns."""

    total: int
    sessions: Sequence[StoredSession]


@dataclass(frozen=True, slots=True)
class LeaseRef:
    """What a write must show: who holds the lease, and its fencing token."""

    participant: str
    session_id: str
    owner: str
    fence: str
    data_key_id: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What to use where something must be created."""

    session_id: str
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class JoinAttempt:
    """How a job joins."""

    owner: str
    """A nonce: names this join, and then the holder of the lease."""
    load: str
    """Names the participant's page load or call; empty where unknown."""
    exact: bool
    """The wanted session or none."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of ``open`` and ``join``."""

    session: StoredSession
    created: bool
    """Whether the session is new."""
    events: Sequence[Event]
    """What this call made happen, as published."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The answer of ``arrive``."""

    counted: bool
    reconnect_count: int
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Left:
    """The answer of ``leave``."""

    window_until: int
    """In Unix milliseconds."""
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Erased:
    """The answer of ``erase``: what went, and the proof that nothing is left."""

    sessions: int
    left_over: int
    """Keys of the participant that still exist after the erasure: 0."""
    events: Sequence[Event]


class SessionRef(NamedTuple):
    """A session whose deadline may have come."""

    participant: str
    session_id: str


class SettleOutcome(StrEnum):
    """What the sweeper's look at a session came to."""

    LATER = "LATER"
    """Nothing is due yet; its deadline was put back."""
    LATE = "LATE"
    """Nothing is due yet, but its holder has not renewed its lease for most of its length, and may
    be dead."""
    ORPHANED = "ORPHANED"
    """It may lack its agent: its participant is there, or was let in, and the lease has run out.
    Told again after each length of a lease, to whoever looks, until somebody acts:
    ``claim_orphan`` decides who does."""
    OVERDUE = "OVERDUE"
    """The same, but no lease has run out: the agent that was dispatched did not come in time, or
    gave its lease back."""
    ENDED = "ENDED"
    """Its resume window has passed: it has ended now."""
    ERASED = "ERASED"
    """Its retention has passed: it is gone now, and its participant with the last one."""
    GONE = "GONE"
    """There was none; its deadline is forgotten."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer of ``settle``."""

    outcome: SettleOutcome
    deadline: int
    """When to look again, in Unix milliseconds; 0 for never."""
    events: Sequence[Event]


class AuditEntry(NamedTuple):
    """An entry of the audit stream, as it lies in the backend."""

    id: str
    fields: Mapping[str, str]
