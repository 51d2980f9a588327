"""The contract between the store and what keeps its bytes.

A backend knows nothing of keys or content: it runs each operation atomically, in one round trip
where the caller names the right session, and answers with what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
    from datetime import date

    from session_store.events import Event
    from session_store.meter import Meter
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
    """A nonce: names this attempt, and then the holder of the lease."""
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


class DueSession(NamedTuple):
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


class SideChannel(Protocol):
    """What lies outside of any participant's keys: events, counts by day, the audit stream.

    Raises like ``Backend``.
    """

    def listen(self) -> AsyncGenerator[bytes | None, None]:
        """Yield what is published from now on, without end.

        ``None`` comes first, once it listens, and again whenever some may have been missed (after
        a lost connection). It connects again by itself, for ever; close the iterator to stop.
        """
        ...

    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        """Add participants and counts to a day (UTC)."""
        ...

    async def counted(self, day: date) -> Mapping[str, int]:
        """Return the counts of a day; empty where nothing happened."""
        ...

    async def people(self, days: Sequence[date]) -> int:
        """Estimate how many participants were there on any of these days (error 0.8 %)."""
        ...

    async def audit(self, fields: Mapping[str, str]) -> str:
        """Add an entry to the audit stream; answer its id. Keeps the newest 100 000."""
        ...

    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        """Read entries behind the one with id ``after``, oldest first; "0" begins."""
        ...


class Backend(Protocol):
    """One atomic operation per method.

    Every method raises ``StoreUnavailable`` when it got no answer, and ``StoreRefused`` when the
    answer was a refusal of the server's. Methods that take a ``LeaseRef`` raise ``SessionGone``
    or ``LeaseLost`` and have then changed nothing.
    """

    @property
    def side(self) -> SideChannel:
        """Events, counts and the audit stream of the same store."""
        ...

    def measure(self, meter: Meter) -> None:
        """Tell a meter, from now on, how long calls take and how they fail."""
        ...

    async def open(
        self,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        *,
        mode: OpenMode,
        expect_agent: bool,
    ) -> tuple[Found, AgentPresence]:
        """Find the session that may resume, else create the candidate; see ``OpenMode``.

        A session more than ``max_sessions`` erases the oldest that has ended; where none has, the
        oldest whose lease is not live.

        Raises:
            SessionGone: only with ``SWITCH``: there is no such session.
        """
        ...

    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[Found, JoinOutcome]:
        """Take the lease and count the arrival; the same attempt again repeats the answer.

        Raises:
            LeaseHeld: another owner's lease is live.
            SessionGone, SessionEnded: only with ``exact``, which wants this session or none.
        """
        ...

    async def arrive(self, lease: LeaseRef, attempt: str, load: str) -> Arrived:
        """Note that the participant came; the same attempt again repeats the answer."""
        ...

    async def leave(self, lease: LeaseRef) -> Left:
        """Begin the resume window. A second leave changes nothing, and has no events."""
        ...

    async def append(
        self,
        lease: LeaseRef,
        first_seq: int,
        tag_before: bytes,
        sealed: Sequence[bytes],
        settles: Mapping[str, int] | None = None,
    ) -> int:
        """Append turns; answer the newest seq. Turns that are there already are no error.

        ``settles`` names, by role, the newest draft whose words are in these turns: it goes, and
        older ones that are on their way are not kept any more.

        Raises:
            SequenceGap: turns before ``first_seq`` are missing.
            WriteConflict: the store holds other turns than the caller believes.
            NotReplicated: they are written, but too few replicas have said so.
        """
        ...

    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        """Keep what is being said, instead of what was kept for this role.

        A no-op where its number is not above that of the role's draft, kept or settled.
        """
        ...

    async def append_late(
        self, lease: LeaseRef, turns: Sequence[LateTurn], *, apart: bool = False
    ) -> int:
        """Keep turns of a lease that was lost; answer how many were not there yet.

        Neither owner nor fence is compared, only the data key: ``SessionGone`` if it is another.
        The oldest ones beyond ``max_turns`` are dropped. ``apart``: they were said under no lease,
        so that their numbers are not those of the record, and none of them is in it.
        """
        ...

    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        """Replace the content if it is still ``version``; answer the new version.

        Raises:
            WriteConflict: it is not.
            SequenceGap: the store has fewer turns than ``witness_seq``; resend those first.
        """
        ...

    async def edit(  # noqa: PLR0913 (what a write must show)
        self,
        participant: str,
        session_id: str,
        data_key_id: str,
        version: int,
        content: bytes,
        *,
        witness_seq: int,
    ) -> int:
        """Replace the content without a lease, as ``update``: for a title, say."""
        ...

    async def renew(self, lease: LeaseRef) -> None:
        """Extend the lease, also one that ran out if nobody took it."""
        ...

    async def release(self, lease: LeaseRef) -> None:
        """Give the lease back. If the participant is there, the sweeper looks at it now."""
        ...

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """Tell whether an agent is there, and claim the dispatch if not.

        A lease that ran out counts for one more of its length: its holder may only have missed a
        renewal. It stays good until a successor takes it.
        """
        ...

    async def claim_orphan(
        self, participant: str, session_id: str, *, owner: str, attempt: str, absent: bool = False
    ) -> tuple[AgentPresence, Sequence[Event]]:
        """Claim the right to dispatch a successor; the same attempt again repeats the answer.

        A lease that ran out is broken, without grace, and one of ``owner`` (a job that is known to
        be dead; empty for none) even if it still runs: who held it writes nothing any more, and
        ``lease_lost`` is told. Deaths are counted: see ``keys.MAX_DEATHS``. Answers ``WANTED`` (to
        one caller), ``GAVE_UP`` (which breaks the lease too), or, having changed nothing,
        ``PRESENT``, ``EXPECTED``, ``ENDED`` or ``GONE``.

        ``absent``: nobody is there who would need an agent. Then the answer is ``ABSENT`` instead
        of ``WANTED`` or ``GAVE_UP``, as after ``give_back_claim``, and no death is counted; not
        where somebody was let in a moment ago.
        """
        ...

    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> Sequence[Event]:
        """Let the next one who asks dispatch an agent.

        ``absent``: nobody is there who would need one. The session is away then, from when it was
        last seen, and is looked at again when its window ends; for ``keys.COMEBACK`` it stays
        ``ORPHANED`` if somebody had been there, who may come back without asking anybody. Not
        where its lease is live, or where somebody was let in a moment ago (``open`` with
        ``expect_agent``, no longer ago than an agent may take to come), and may be on the way.
        """
        ...

    async def load(
        self, participant: str, session_id: str, *, last: int | None
    ) -> StoredSession | None:
        """Read a session with its ``last`` turns, or all; ``None`` where there is none."""
        ...

    async def sessions(
        self, participant: str, *, offset: int, limit: int, known: Sequence[str] = ()
    ) -> StoredPage:
        """List sessions by ``last_seen``, newest first. ``known`` ids save a round trip."""
        ...

    async def close(self, participant: str, session_id: str) -> Sequence[Event]:
        """End a session now: who holds its lease loses it. Ended or gone already: a no-op."""
        ...

    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        """Erase one session. Gone already: a no-op."""
        ...

    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> Erased:
        """Erase a participant: the data key first, then every key.

        ``known`` sessions and ``kek_id`` are guesses that save a round trip when right. What is
        left for some days, also of somebody unknown, is ``erased_at``.
        """
        ...

    async def erased_at(self, participant: str) -> int | None:
        """Tell when a participant was last erased, in Unix milliseconds of the store's clock.

        ``None`` where that was never, or longer ago than anything is kept.
        """
        ...

    async def participant(self, participant: str) -> StoredParticipant | None:
        """Read what is kept of a participant; ``None`` for somebody unknown."""
        ...

    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """Note what a participant agreed to, now; ``None`` for somebody unknown."""
        ...

    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """Set a participant's own retention, for all sessions; ``None`` for the default.

        Answers whether there is such a participant.
        """
        ...

    async def due(self, shards: Sequence[int], limit: int) -> Sequence[DueSession]:
        """Read whose deadline may have come, at most ``limit`` of each of these shards."""
        ...

    async def settle(self, participant: str, session_id: str) -> Settled:
        """Do what is due with a session: end it, erase it, or look again later.

        Safe in many processes: each change is made, and its event published, by one of them.
        """
        ...

    async def sweepers(self, me: str, alive_ms: int) -> Sequence[str]:
        """Note that the sweeper ``me`` lives; answer who was heard of within ``alive_ms``."""
        ...

    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        """Name the participants in these shards whose data key this key wraps."""
        ...

    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        """Replace the wrapped data key by compare-and-set; answer whether it was ``before``."""
        ...

    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        """Remove a stale entry of ``wrapped_by``; False, and a no-op, where it is not stale."""
        ...

    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Leave the key checks that are missing, and answer all that are there then."""
        ...

    async def ping(self) -> None:
        """Reach the backend, or raise."""
        ...

    async def aclose(self) -> None:
        """Close what this backend opened."""
        ...
