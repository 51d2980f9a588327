"""The contract between the store and what keeps its bytes.

A backend knows neither encryption keys nor content. It runs each operation atomically, in one
round trip if the caller names the right session, and returns what it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
    from datetime import date

    from session_store.backends.values import (
        AgentPresence,
        ArrivalAnswer,
        AuditEntry,
        Candidate,
        Consent,
        Erased,
        FoundSession,
        JoinAttempt,
        JoinOutcome,
        LateTurn,
        LeaseRef,
        LeaveAnswer,
        LiveSweepers,
        OpenMode,
        SealedDraft,
        SealedWork,
        SessionRef,
        SettleAnswer,
        StoredPage,
        StoredParticipant,
        StoredSession,
    )
    from session_store.events import Event
    from session_store.meter import Meter
    from session_store.sealing.data_key import WrappedKey
    from session_store.tracing import Tracer


class SideChannel(ABC):
    """Data outside the keys of any participant: events, counts, the audit stream, marks of rooms.

    Its methods raise as those of ``Backend``.
    """

    @abstractmethod
    def listen(self) -> AsyncGenerator[bytes | None, None]:
        """Yield the events that are published from now on, without end.

        ``None`` comes first, once the connection listens. It comes again whenever some events may
        have been missed, after a lost connection for example. The iterator reconnects by itself;
        close it to stop.
        """

    @abstractmethod
    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        """Add participants and counts to a day (UTC)."""

    @abstractmethod
    async def counted(self, day: date) -> Mapping[str, int]:
        """Return the counts of a day; empty if nothing happened."""

    @abstractmethod
    async def people(self, days: Sequence[date]) -> int:
        """Estimate how many participants were active on any of these days (error 0.8 %)."""

    @abstractmethod
    async def audit(self, fields: Mapping[str, str]) -> str:
        """Add an entry to the audit stream; return its id. Keeps the newest 100 000."""

    @abstractmethod
    async def mark_room(self, mac: str, owner: str, lifetime_ms: int) -> str:
        """Mark a room as this owner's, unless it is marked; return whose it is.

        The mark lives for ``lifetime_ms`` from now on, whoever asks.
        """

    @abstractmethod
    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        """Return at most ``limit`` entries after the id ``after``, oldest first; "0" begins."""


class Backend(ABC):
    """One atomic operation per method.

    Every method raises ``StoreUnavailable`` if it got no answer, and ``StoreRefused`` if the server
    refused. Methods that take a ``LeaseRef`` raise ``SessionGone`` or ``LeaseLost``, and have
    changed nothing then.
    """

    @property
    @abstractmethod
    def side(self) -> SideChannel:
        """Events, counts and the audit stream of the same store."""

    @abstractmethod
    def measure(self, meter: Meter) -> None:
        """Report to a meter, from now on, how long calls take and how they fail."""

    @abstractmethod
    def trace(self, tracer: Tracer | None) -> None:
        """Give each operation a span from now on; ``None`` ends that. A no-op without a server."""

    @abstractmethod
    async def open(  # noqa: PLR0913 (what it can be asked)
        self,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        *,
        mode: OpenMode,
        expect_agent: bool,
        scope: str = "",
    ) -> tuple[FoundSession, AgentPresence]:
        """Find the session that may resume, or create the candidate; see ``OpenMode``.

        ``scope`` as in ``JoinAttempt``.

        One session more than ``max_sessions`` erases the oldest session that has ended. If none has
        ended, it erases the oldest session without a live lease.

        Raises:
            SessionGone: the session does not exist; only with ``SWITCH``.
        """

    @abstractmethod
    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[FoundSession, JoinOutcome]:
        """Take the lease and count the arrival. The same owner again gets the same answer.

        A job in another room takes a live lease, if the participant has left the holder's room, or
        came to that other room later. For ``keys.NO_TAKING_BACK`` the room before does not take
        it back, unless the participant has left. It is a return in any case.

        Raises:
            LeaseHeld: another owner's lease is live.
            SessionGone, SessionEnded: only with ``exact``, which wants this session or none.
        """

    @abstractmethod
    async def arrive(
        self, lease: LeaseRef, idempotency_key: str, load: str, *, came_ms: int = 0
    ) -> ArrivalAnswer:
        """Note that the participant came. The same key again gets the same answer.

        ``came_ms`` as in ``JoinAttempt``.
        """

    @abstractmethod
    async def leave(self, lease: LeaseRef) -> LeaveAnswer:
        """Begin the resume window. A second leave is a no-op without events.

        If the session was in another room before, the participant may wait there: the session is
        ``OVERDUE``, until ``claim_orphan`` says whether.
        """

    @abstractmethod
    async def append(  # noqa: PLR0913 (what goes into one write)
        self,
        lease: LeaseRef,
        first_seq: int,
        tag_before: bytes,
        sealed: Sequence[bytes],
        settles: Mapping[str, int] | None = None,
        *,
        work: SealedWork | None = None,
    ) -> int:
        """Append turns; return the number of the newest one. Repeating an append is a no-op.

        ``settles`` names, by role, the newest draft whose words are in these turns. It is removed,
        and older drafts that arrive later are not kept.

        ``work`` is the newest one of these turns. It replaces the stored one if its number is
        higher, even if all turns are there already. See ``SealedWork.keeps``.

        Raises:
            SequenceGap: turns before ``first_seq`` are missing.
            WriteConflict: the store holds other turns than the caller believes.
            NotReplicated: the turns are written, but too few replicas have confirmed them.
        """

    @abstractmethod
    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        """Replace the draft of this role.

        A no-op unless its number is above that of the role's last draft, kept or settled.
        """

    @abstractmethod
    async def append_late(
        self,
        lease: LeaseRef,
        turns: Sequence[LateTurn],
        *,
        apart: bool = False,
        work: bytes = b"",
    ) -> int:
        """Keep turns of a lost lease beside the record; return how many were new.

        Neither owner nor fencing token is compared, only the data key: ``SessionGone`` if it is
        another one. The oldest turns beyond ``max_turns`` are dropped.

        ``apart``: the turns were said under no lease. Their numbers are not those of the record,
        and none of them is in it.

        ``work``: what the program worked on, sealed as the work of turn 0. It is kept if no turn
        and no work was recorded yet; empty for none.
        """

    @abstractmethod
    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        """Replace the content if it still has this version; return the new version.

        Raises:
            WriteConflict: it has another version.
            SequenceGap: the store has fewer turns than ``witness_seq``; send those again first.
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
        """Replace the content without a lease, for a new title for example; else as ``update``."""

    @abstractmethod
    async def renew(self, lease: LeaseRef) -> None:
        """Extend the lease, even after it ran out, unless another job took it."""

    @abstractmethod
    async def release(self, lease: LeaseRef) -> None:
        """Give the lease back. If the participant is there, a sweeper looks at the session now."""

    @abstractmethod
    async def put_back(self, lease: LeaseRef) -> None:
        """Give back a lease whose session could not be opened.

        The session counts as left: no agent is wanted there, and its window is not prolonged.
        """

    @abstractmethod
    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """Return whether the session has an agent; with ``claim``, claim the dispatch if not.

        A lease that ran out counts for one more of its length, because its holder may only have
        missed a renewal. It stays valid until a successor takes it.
        """

    @abstractmethod
    async def claim_orphan(  # noqa: PLR0913 (what it can be asked)
        self,
        participant: str,
        session_id: str,
        *,
        owner: str,
        idempotency_key: str,
        absent: bool = False,
        room: str = "",
    ) -> tuple[AgentPresence, Sequence[Event]]:
        """Claim the right to dispatch a successor. The same key again gets the same answer.

        A lease that ran out is broken at once. A lease of ``owner``, a job that is known to be
        dead, is broken even if it still runs; ``owner`` is empty for none. The holder of a broken
        lease writes nothing any more, and ``lease_lost`` is published. Deaths are counted: see
        ``keys.MAX_DEATHS``.

        Returns ``WANTED`` to one caller, or ``GAVE_UP``; both break the lease. Returns ``PRESENT``,
        ``EXPECTED``, ``ENDED`` or ``GONE`` if it changed nothing.

        ``absent``: no participant needs an agent. The answer is then ``ABSENT`` instead of
        ``WANTED`` or ``GAVE_UP``, as after ``give_back_claim``, and no death is counted. It has no
        effect if a participant was admitted a moment ago.

        ``room``: the MAC of the room where the participant waits; empty for unknown. If the holder
        is in another room, which its participant has left, even its live lease is broken.
        """

    @abstractmethod
    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> Sequence[Event]:
        """Give the claim back, so that the next caller may dispatch an agent.

        ``absent``: no participant needs an agent. The session counts as away since its participant
        was last seen, and is looked at again when its window ends. If a participant had been there,
        it stays ``ORPHANED`` for ``keys.COMEBACK``: the participant may come back without asking.
        ``absent`` has no effect if the lease is live, or if ``open`` with ``expect_agent``
        admitted a participant a moment ago: that one may still be coming.
        """

    @abstractmethod
    async def load(
        self, participant: str, session_id: str, *, last: int | None, work: bool = True
    ) -> StoredSession | None:
        """Return a session with its ``last`` turns, or all; ``None`` if it does not exist.

        Without ``work``, the answer has neither the work nor those that were put aside.
        """

    @abstractmethod
    async def sessions(
        self, participant: str, *, offset: int, limit: int, known: Sequence[str] = ()
    ) -> StoredPage:
        """Return sessions by ``last_seen``, newest first. ``known`` ids save a round trip."""

    @abstractmethod
    async def close(self, participant: str, session_id: str, *, fence: str = "") -> Sequence[Event]:
        """End a session now and break its lease. A no-op if it has ended or does not exist.

        With a ``fence`` also if another job has taken the lease since the one with this token.
        """

    @abstractmethod
    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        """Erase one session. A no-op if it does not exist."""

    @abstractmethod
    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> Erased:
        """Erase a participant: the data key first, then every key.

        ``known`` sessions and ``kek_id`` are guesses, which save a round trip when they are right.
        Only ``erased_at`` is left for some days, even if the participant was unknown.
        """

    @abstractmethod
    async def erased_at(self, participant: str) -> int | None:
        """Return when a participant was last erased, in Unix milliseconds of the store's clock.

        ``None`` if that never happened, or longer ago than anything is kept.
        """

    @abstractmethod
    async def participant(self, participant: str) -> StoredParticipant | None:
        """Return the record of a participant; ``None`` if the participant is unknown."""

    @abstractmethod
    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """Note what a participant agrees to now; ``None`` if the participant is unknown."""

    @abstractmethod
    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """Set a participant's own retention, for all sessions; ``None`` for the default.

        Returns whether the participant exists.
        """

    @abstractmethod
    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        """Return sessions whose deadline may have come, at most ``limit`` of each shard."""

    @abstractmethod
    async def settle(self, participant: str, session_id: str) -> SettleAnswer:
        """Do what is due with a session: end it, erase it, or look again later.

        Safe in many processes: one of them makes each change and publishes its event.
        """

    @abstractmethod
    async def sweepers(self, me: str, alive_ms: int) -> LiveSweepers:
        """Note that the sweeper ``me`` lives; return those that reported within ``alive_ms``."""

    @abstractmethod
    async def make_all_due(self, shards: Sequence[int]) -> None:
        """Let the deadlines of all sessions of these shards come now.

        For a clock that was set back: deadlines of the time before seem far away.
        """

    @abstractmethod
    async def mark(self, participant: str) -> str | None:
        """Return the mark of the participant's shard; ``None`` if nobody has joined there.

        The first join of a shard makes it. Nothing removes it, so it is missing, or another one,
        only after the store has lost everything, or after ``keys.SHARED_LIFETIME`` without a join.
        """

    @abstractmethod
    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        """Return the participants in these shards whose data key this key wraps."""

    @abstractmethod
    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        """Replace the wrapped data key by compare-and-set; return whether it was ``before``."""

    @abstractmethod
    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        """Remove a stale entry of ``wrapped_by``; False, and a no-op, if it is not stale."""

    @abstractmethod
    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Store the key checks that are missing, and return all that are stored then."""

    @abstractmethod
    async def ping(self) -> None:
        """Reach the backend, or raise."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close what this backend opened."""
