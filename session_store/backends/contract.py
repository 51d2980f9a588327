"""The contract between the store and what keeps its bytes.

A backend knows nothing of keys or content: it runs each operation atomically, in one round trip
where the caller names the right session, and answers with what it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
    from datetime import date

    from session_store.backends.values import (
        AgentPresence,
        Arrived,
        AuditEntry,
        Candidate,
        Consent,
        Erased,
        Found,
        JoinAttempt,
        JoinOutcome,
        LateTurn,
        LeaseRef,
        Left,
        OpenMode,
        SealedDraft,
        SessionRef,
        Settled,
        StoredPage,
        StoredParticipant,
        StoredSession,
    )
    from session_store.events import Event
    from session_store.meter import Meter
    from session_store.sealing.crypto import WrappedKey


class SideChannel(ABC):
    """What lies outside of any participant's keys: events, counts by day, the audit stream.

    Raises like ``Backend``.
    """

    @abstractmethod
    def listen(self) -> AsyncGenerator[bytes | None, None]:
        """Yield what is published from now on, without end.

        ``None`` comes first, once it listens, and again whenever some may have been missed (after
        a lost connection). It connects again by itself, for ever; close the iterator to stop.
        """

    @abstractmethod
    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        """Add participants and counts to a day (UTC)."""

    @abstractmethod
    async def counted(self, day: date) -> Mapping[str, int]:
        """Return the counts of a day; empty where nothing happened."""

    @abstractmethod
    async def people(self, days: Sequence[date]) -> int:
        """Estimate how many participants were there on any of these days (error 0.8 %)."""

    @abstractmethod
    async def audit(self, fields: Mapping[str, str]) -> str:
        """Add an entry to the audit stream; answer its id. Keeps the newest 100 000."""

    @abstractmethod
    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        """Read entries behind the one with id ``after``, oldest first; "0" begins."""


class Backend(ABC):
    """One atomic operation per method.

    Every method raises ``StoreUnavailable`` when it got no answer, and ``StoreRefused`` when the
    answer was a refusal of the server's. Methods that take a ``LeaseRef`` raise ``SessionGone``
    or ``LeaseLost`` and have then changed nothing.
    """

    @property
    @abstractmethod
    def side(self) -> SideChannel:
        """Events, counts and the audit stream of the same store."""

    @abstractmethod
    def measure(self, meter: Meter) -> None:
        """Tell a meter, from now on, how long calls take and how they fail."""

    @abstractmethod
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

    @abstractmethod
    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[Found, JoinOutcome]:
        """Take the lease and count the arrival; the same owner again repeats the answer.

        Raises:
            LeaseHeld: another owner's lease is live.
            SessionGone, SessionEnded: only with ``exact``, which wants this session or none.
        """

    @abstractmethod
    async def arrive(self, lease: LeaseRef, idempotency_key: str, load: str) -> Arrived:
        """Note that the participant came; the same key again repeats the answer."""

    @abstractmethod
    async def leave(self, lease: LeaseRef) -> Left:
        """Begin the resume window. A second leave changes nothing, and has no events."""

    @abstractmethod
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

    @abstractmethod
    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        """Keep what is being said, instead of what was kept for this role.

        A no-op where its number is not above that of the role's draft, kept or settled.
        """

    @abstractmethod
    async def append_late(
        self, lease: LeaseRef, turns: Sequence[LateTurn], *, apart: bool = False
    ) -> int:
        """Keep turns of a lease that was lost; answer how many were not there yet.

        Neither owner nor fence is compared, only the data key: ``SessionGone`` if it is another.
        The oldest ones beyond ``max_turns`` are dropped. ``apart``: they were said under no lease,
        so that their numbers are not those of the record, and none of them is in it.
        """

    @abstractmethod
    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        """Replace the content if it is still ``version``; answer the new version.

        Raises:
            WriteConflict: it is not.
            SequenceGap: the store has fewer turns than ``witness_seq``; resend those first.
        """

    @abstractmethod
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

    @abstractmethod
    async def renew(self, lease: LeaseRef) -> None:
        """Extend the lease, also one that ran out if nobody took it."""

    @abstractmethod
    async def release(self, lease: LeaseRef) -> None:
        """Give the lease back. If the participant is there, the sweeper looks at it now."""

    @abstractmethod
    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """Tell whether an agent is there, and claim the dispatch if not.

        A lease that ran out counts for one more of its length: its holder may only have missed a
        renewal. It stays good until a successor takes it.
        """

    @abstractmethod
    async def claim_orphan(
        self,
        participant: str,
        session_id: str,
        *,
        owner: str,
        idempotency_key: str,
        absent: bool = False,
    ) -> tuple[AgentPresence, Sequence[Event]]:
        """Claim the right to dispatch a successor; the same key again repeats the answer.

        A lease that ran out is broken, without grace, and one of ``owner`` (a job that is known to
        be dead; empty for none) even if it still runs: who held it writes nothing any more, and
        ``lease_lost`` is told. Deaths are counted: see ``keys.MAX_DEATHS``. Answers ``WANTED`` (to
        one caller), ``GAVE_UP`` (which breaks the lease too), or, having changed nothing,
        ``PRESENT``, ``EXPECTED``, ``ENDED`` or ``GONE``.

        ``absent``: nobody is there who would need an agent. Then the answer is ``ABSENT`` instead
        of ``WANTED`` or ``GAVE_UP``, as after ``give_back_claim``, and no death is counted; not
        where somebody was let in a moment ago.
        """

    @abstractmethod
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

    @abstractmethod
    async def load(
        self, participant: str, session_id: str, *, last: int | None
    ) -> StoredSession | None:
        """Read a session with its ``last`` turns, or all; ``None`` where there is none."""

    @abstractmethod
    async def sessions(
        self, participant: str, *, offset: int, limit: int, known: Sequence[str] = ()
    ) -> StoredPage:
        """List sessions by ``last_seen``, newest first. ``known`` ids save a round trip."""

    @abstractmethod
    async def close(self, participant: str, session_id: str) -> Sequence[Event]:
        """End a session now: who holds its lease loses it. Ended or gone already: a no-op."""

    @abstractmethod
    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        """Erase one session. Gone already: a no-op."""

    @abstractmethod
    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> Erased:
        """Erase a participant: the data key first, then every key.

        ``known`` sessions and ``kek_id`` are guesses that save a round trip when right. What is
        left for some days, also of somebody unknown, is ``erased_at``.
        """

    @abstractmethod
    async def erased_at(self, participant: str) -> int | None:
        """Tell when a participant was last erased, in Unix milliseconds of the store's clock.

        ``None`` where that was never, or longer ago than anything is kept.
        """

    @abstractmethod
    async def participant(self, participant: str) -> StoredParticipant | None:
        """Read what is kept of a participant; ``None`` for somebody unknown."""

    @abstractmethod
    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """Note what a participant agreed to, now; ``None`` for somebody unknown."""

    @abstractmethod
    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """Set a participant's own retention, for all sessions; ``None`` for the default.

        Answers whether there is such a participant.
        """

    @abstractmethod
    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        """Read whose deadline may have come, at most ``limit`` of each of these shards."""

    @abstractmethod
    async def settle(self, participant: str, session_id: str) -> Settled:
        """Do what is due with a session: end it, erase it, or look again later.

        Safe in many processes: each change is made, and its event published, by one of them.
        """

    @abstractmethod
    async def sweepers(self, me: str, alive_ms: int) -> Sequence[str]:
        """Note that the sweeper ``me`` lives; answer who was heard of within ``alive_ms``."""

    @abstractmethod
    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        """Name the participants in these shards whose data key this key wraps."""

    @abstractmethod
    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        """Replace the wrapped data key by compare-and-set; answer whether it was ``before``."""

    @abstractmethod
    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        """Remove a stale entry of ``wrapped_by``; False, and a no-op, where it is not stale."""

    @abstractmethod
    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Leave the key checks that are missing, and answer all that are there then."""

    @abstractmethod
    async def ping(self) -> None:
        """Reach the backend, or raise."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close what this backend opened."""
