"""The store itself, by its public calls, with default settings."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.store.contestants import KEPT_TURNS, READ_TURNS, DataMissing
from session_store import Keyring, Recorder, SessionStore, StoreSettings, Turn
from session_store.backends.redis.backend import RedisBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from benchmarks.store.contestants import Append, Read

    Work: TypeAlias = Callable[[str, bytes | None], Awaitable[None]]


class Idle(NamedTuple):
    """A session that its participant and its job have left."""

    participant: str
    session_id: str


class Ours:
    """Encrypted, fenced, in order, each turn once."""

    name = "ours"

    def __init__(self, database: str, key_file: Path) -> None:
        self._settings = StoreSettings.model_validate({"redis_url": database, "key_file": key_file})
        self._backend = RedisBackend.from_settings(self._settings)
        self._store = SessionStore(self._backend, Keyring.from_settings(self._settings))
        self._ids: dict[str, str] = {}
        self._recorders: list[Recorder] = []
        self._numbers = itertools.count()

    async def fill(self, session: str, texts: Sequence[str]) -> None:
        """See ``Contestant.fill``."""
        await self.idle(session, texts)

    async def idle(self, session: str, texts: Sequence[str] = ()) -> Idle:
        """Make a session with these turns; its participant leaves, and its lease is given back."""
        joined = await self._store.join(self._participant(session))
        lease = joined.lease
        self._ids[session] = lease.session_id
        await self._store.append(
            lease, [self._store.seal(lease, self._turn(text)) for text in texts]
        )
        await self._store.leave(lease)
        await self._store.release(lease)
        return Idle(lease.participant, lease.session_id)

    async def ping(self) -> None:
        """Make an empty round trip, the way all calls go."""
        await self._backend.transport.execute("", "PING")

    async def rejoin(self, idle: Idle, *, named: bool) -> int:
        """Join again as a return; answer how many turns were loaded.

        Args:
            idle: the session.
            named: say which session it is, as a job does that was dispatched to its room.
        """
        joined = await self._store.join(
            idle.participant, session_id=idle.session_id if named else None, load_id="second-load"
        )
        if joined.session.id != idle.session_id or joined.session.reconnect_count != 1:
            raise DataMissing(self.name)
        return len(joined.turns)

    async def writer(self, session: str) -> Append:
        """See ``Contestant.writer``."""
        store, turn = self._store, self._turn
        joined = await store.join(self._participant(session), session_id=self._ids.get(session))
        lease = joined.lease
        self._ids[session] = lease.session_id

        async def append(text: str) -> None:
            await store.append(lease, [store.seal(lease, turn(text))])

        return append

    async def shared_writer(self, session: str) -> Append:
        """See ``Contestant.shared_writer``: through a recorder."""
        joined = await self._store.join(self._participant(session))
        self._ids[session] = joined.session.id
        recorder = Recorder(self._store, joined.lease)
        self._recorders.append(recorder)

        async def append(text: str) -> None:
            if not await recorder.saved(recorder.record(self._turn(text)).seq):
                raise DataMissing(self.name)

        return append

    async def worker(self, session: str) -> Work:
        """Make what records a turn with what a program works on, and waits until it is written."""
        joined = await self._store.join(self._participant(session))
        recorder = Recorder(self._store, joined.lease)
        self._recorders.append(recorder)

        async def append(text: str, work: bytes | None) -> None:
            if not await recorder.saved(recorder.record(self._turn(text), work=work).seq):
                raise DataMissing(self.name)

        return append

    async def worked_on(self, session: str) -> bytes | None:
        """Return what a session works on, as the store has it."""
        who = self._participant(session)
        [listed] = (await self._store.sessions(who)).sessions
        loaded = await self._store.load(who, listed.id)
        return loaded.work.data if loaded and loaded.work else None

    async def reader(self, session: str) -> Read:
        """See ``Contestant.reader``."""
        participant, session_id = self._participant(session), self._ids[session]

        async def read() -> Sequence[str]:
            loaded = await self._store.load(participant, session_id, last=READ_TURNS)
            if loaded is None:
                raise DataMissing(self.name)
            return [each.turn.text for each in loaded.turns]

        return read

    async def check(self, session: str, count: int, last: str | None) -> None:
        """See ``Contestant.check``; by another store, which has nothing of it in memory."""
        other = SessionStore.from_settings(self._settings)
        try:
            loaded = await other.load(self._participant(session), self._ids[session])
        finally:
            await other.aclose()
        if (
            loaded is None
            or loaded.session.seq != count
            or len(loaded.turns) != min(count, KEPT_TURNS)
            or (last and loaded.turns[-1].turn.text != last)
        ):
            raise DataMissing(self.name)

    async def aclose(self) -> None:
        """See ``Contestant.aclose``."""
        for recorder in self._recorders:
            await recorder.aclose()
        await self._store.aclose()

    def _participant(self, session: str) -> str:
        return self._store.pseudonym(session)

    def _turn(self, text: str) -> Turn:
        # With an id as LiveKit makes them.
        return Turn(
            id=f"item_{next(self._numbers):012x}", role="user", text=text, created_at=time.time()
        )
