"""The callers of a backend in these tests: names, candidates, leases, turns as sealed bytes.

A backend cannot open what is sealed, so any bytes will do; the last 16 are the tag.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
from typing import TYPE_CHECKING

from session_store.backends.values import (
    Candidate,
    JoinAttempt,
    LateTurn,
    LeaseRef,
    OpenMode,
    SessionRef,
)
from session_store.events import Event
from session_store.keys import shard_of
from session_store.sealing.data_key import NO_TAG, WrappedKey, tag_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from session_store.backends.contract import Backend
    from session_store.backends.values import (
        AgentPresence,
        FoundSession,
        JoinOutcome,
        StoredSession,
    )
    from tests.contract.worlds import World

_numbers = itertools.count(1)


def pseudonym(name: str) -> str:
    """Make a participant's pseudonym."""
    digest = hashlib.sha256(name.encode()).digest()[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()


MARIA = pseudonym("maria")
JOE = pseudonym("joe")


def candidate(kek_id: str = "k-1") -> Candidate:
    """Make what is used where something must be created; later ones sort behind earlier ones."""
    number = next(_numbers)
    wrapped = WrappedKey(f"{number:032x}", kek_id, f"wrapped {number}".encode())
    return Candidate(f"session{number:019d}", wrapped)


def nonce() -> str:
    """Make a nonce."""
    return f"{next(_numbers):032x}"


def sealed(words: str) -> bytes:
    """Make a turn's bytes."""
    return words.encode() + hashlib.sha256(words.encode()).digest()[:16]


def sealed_turns(count: int, first: int = 1, what: str = "turn") -> list[bytes]:
    """Make the bytes of several turns."""
    return [sealed(f"{what} {number}") for number in range(first, first + count)]


async def open_session(  # noqa: PLR0913 (what open can be asked)
    backend: Backend,
    participant: str = MARIA,
    *,
    wanted: str | None = None,
    mode: OpenMode = OpenMode.RESUME,
    expect_agent: bool = False,
    offered: Candidate | None = None,
    scope: str = "",
) -> tuple[FoundSession, AgentPresence]:
    """Open a session with a fresh candidate."""
    return await backend.open(
        participant,
        wanted,
        offered or candidate(),
        mode=mode,
        expect_agent=expect_agent,
        scope=scope,
    )


class Job:
    """A job that holds, or held, the lease of a session."""

    def __init__(
        self, backend: Backend, participant: str, found: FoundSession, outcome: JoinOutcome
    ) -> None:
        self.backend = backend
        self.found = found
        self.outcome = outcome
        self.session: StoredSession = found.session
        self.id = found.session.id
        self.lease = LeaseRef(
            participant,
            found.session.id,
            found.session.owner,
            found.session.fence,
            found.session.wrapped.data_key_id,
        )
        self.seq = found.session.seq
        self.tag = tag_of(found.session.turns[-1]) if found.session.turns else NO_TAG

    async def append(self, *turns: bytes) -> int:
        """Append turns behind the last one that this job knows of."""
        seq = await self.backend.append(self.lease, self.seq + 1, self.tag, turns)
        self.seq, self.tag = self.seq + len(turns), tag_of(turns[-1])
        return seq

    async def away(self) -> None:
        """Let the participant leave, and give the lease back."""
        await self.backend.leave(self.lease)
        await self.backend.release(self.lease)

    async def load(self) -> StoredSession:
        """Read the session; it must be there."""
        stored = await self.backend.load(self.lease.participant, self.id, last=None)
        assert stored is not None
        return stored

    def late(self, *turns: bytes) -> list[LateTurn]:
        """Make late turns of what this job could not append."""
        tags = [self.tag, *map(tag_of, turns)]
        return [
            LateTurn(int(self.lease.fence), self.seq + 1 + i, tags[i], turn)
            for i, turn in enumerate(turns)
        ]


async def join(  # noqa: PLR0913 (what join can be asked)
    backend: Backend,
    participant: str = MARIA,
    *,
    wanted: str | None = None,
    load: str = "",
    exact: bool = False,
    owner: str | None = None,
    offered: Candidate | None = None,
    room: str = "",
    came_ms: int = 0,
    scope: str = "",
) -> Job:
    """Join as a job with a fresh nonce."""
    attempt = JoinAttempt(
        owner=owner or nonce(), load=load, exact=exact, room=room, came_ms=came_ms, scope=scope
    )
    found, outcome = await backend.join(participant, wanted, offered or candidate(), attempt)
    return Job(backend, participant, found, outcome)


def kinds(events: Sequence[Event]) -> list[str]:
    """Name the types of events."""
    return [str(event.type) for event in events]


async def is_due(backend: Backend, participant: str, session_id: str) -> bool:
    """Whether a sweeper would look at a session now."""
    due = await backend.due([shard_of(participant)], 1000)
    return SessionRef(participant, session_id) in due


@contextlib.asynccontextmanager
async def listening(backend: Backend) -> AsyncIterator[list[Event]]:
    """Hear what is published meanwhile; the list is complete behind the block."""
    heard: list[Event] = []
    end = pseudonym(f"listener {next(_numbers)}")
    listener = backend.side.listen()
    assert await anext(listener) is None
    yield heard
    await open_session(backend, end)
    async for payload in listener:
        event = Event.parse(payload or b"")
        assert event is not None
        if event.participant == end:
            break
        heard.append(event)
    await listener.aclose()
    await backend.erase(end, "k-1", [])


@contextlib.asynccontextmanager
async def nothing_changes(world: World) -> AsyncIterator[None]:
    """Hold what is inside to changing nothing, not even how long something will live."""
    before, lives_before = await world.dump(), await world.lifetimes()
    yield
    assert await world.dump() == before
    lives = await world.lifetimes()
    assert lives.keys() == lives_before.keys()
    assert all(lives[name] <= lives_before[name] for name in lives)
