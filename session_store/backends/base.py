"""The contract between the store and what keeps its bytes.

A backend knows nothing of keys or content: it runs each operation atomically, in one round trip
where the caller names the right session, and answers with what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.crypto import WrappedKey


class AgentPresence(StrEnum):
    """Whether a session has an agent."""

    PRESENT = "PRESENT"
    """A job holds the lease."""
    EXPECTED = "EXPECTED"
    """Somebody dispatched one a moment ago."""
    WANTED = "WANTED"
    """Nobody did; this caller, and no other, is to dispatch one."""
    ABSENT = "ABSENT"
    """Nobody did, and the caller did not ask to."""
    ENDED = "ENDED"
    GONE = "GONE"


class JoinOutcome(StrEnum):
    """What a job's join was for the participant."""

    CREATED = "created"
    REJOINED = "rejoined"
    """A return; it was counted."""
    TAKEN_OVER = "taken_over"
    """The participant had never gone: the job before did."""


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
    head: bytes
    """Tag of the newest turn that was trimmed; empty where none was."""
    content: bytes | None
    turns: Sequence[bytes]
    """Oldest first; the last one has number ``seq``."""


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


class Backend(Protocol):
    """One atomic operation per method.

    Every method raises ``StoreUnavailable`` when it got no answer, and ``StoreRefused`` when the
    answer was a refusal of the server's. Methods that take a ``LeaseRef`` raise ``SessionGone``
    or ``LeaseLost`` and have then changed nothing.
    """

    async def open(
        self, participant: str, wanted: str | None, candidate: Candidate, *, expect_agent: bool
    ) -> tuple[StoredSession, AgentPresence]:
        """Find the session that may resume, else create the candidate."""
        ...

    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[StoredSession, JoinOutcome]:
        """Take the lease and count the arrival; the same attempt again repeats the answer.

        Raises:
            LeaseHeld: another owner's lease is live.
            SessionGone, SessionEnded: only with ``exact``, which wants this session or none.
        """
        ...

    async def arrive(self, lease: LeaseRef, attempt: str, load: str) -> tuple[bool, int]:
        """Note that the participant came; answer whether it counted, and the reconnect count."""
        ...

    async def leave(self, lease: LeaseRef) -> int:
        """Begin the resume window; answer until when, in Unix milliseconds."""
        ...

    async def append(
        self, lease: LeaseRef, first_seq: int, tag_before: bytes, sealed: Sequence[bytes]
    ) -> int:
        """Append turns; answer the newest seq. Turns that are there already are no error.

        Raises:
            SequenceGap: turns before ``first_seq`` are missing.
            WriteConflict: the store holds other turns than the caller believes.
        """
        ...

    async def update(self, lease: LeaseRef, version: int, content: bytes) -> int:
        """Replace the content if it is still ``version``; answer the new version.

        Raises:
            WriteConflict: it is not.
        """
        ...

    async def renew(self, lease: LeaseRef) -> None:
        """Extend the lease, also one that ran out if nobody took it."""
        ...

    async def release(self, lease: LeaseRef) -> None:
        """Give the lease back."""
        ...

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """Tell whether an agent is there, and claim the dispatch if not."""
        ...

    async def give_back_claim(self, participant: str, session_id: str) -> None:
        """Let the next one who asks dispatch an agent."""
        ...

    async def load(self, participant: str, session_id: str) -> StoredSession | None:
        """Read a session; ``None`` where there is none."""
        ...

    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> int:
        """Erase a participant; answer how many sessions went.

        ``known`` sessions and ``kek_id`` are guesses that save a round trip when right.
        """
        ...

    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Leave the key checks that are missing, and answer those that were there before."""
        ...

    async def ping(self) -> None:
        """Reach the backend, or raise."""
        ...

    async def aclose(self) -> None:
        """Close what this backend opened."""
        ...
