"""A conversation that is recorded through a failover, and what must be true of it after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self, TypeVar

from session_store import Recorder, SessionStore, Turn
from session_store.errors import StoreReadOnly, StoreUnavailable
from session_store.keys import KeySpace
from session_store.sealing.data_key import tag_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from session_store import Joined, SealedTurn, SessionStoreError, StoreSettings

T = TypeVar("T")

MAX_TURNS = 2000
"""More than a test records, so that none is trimmed and all can be compared."""
PAUSE_S = 0.002
"""Between two turns: most of them are appends of their own."""
AGAIN_WITHIN_S = 40.0
"""How long a failover may take on a busy machine."""


def worked_on(turns: int) -> bytes | None:
    """Return what the program works on after so many turns: it changes with some of them."""
    return f"work {turns - turns % 3}".encode() if turns else None


class Conversation:
    """One session with its recorder, as a job has it."""

    def __init__(self, store: SessionStore, joined: Joined) -> None:
        self.store = store
        self.acknowledged: list[tuple[int, bytes]] = []
        """Number and tag of each turn that was said to be saved, as often as it was said."""
        self.lost: list[SessionStoreError] = []
        self._joined = joined
        self.recorder = Recorder(
            store, joined.lease, on_saved=self._on_saved, on_lost=self.lost.append
        )
        self.recorded: list[Turn] = []

    @classmethod
    async def begin(cls, settings: StoreSettings, person: str) -> Self:
        """Join a new session."""
        store = SessionStore.from_settings(settings)
        return cls(store, await store.join(store.pseudonym(person)))

    def say(self) -> None:
        """Record one more turn."""
        n = len(self.recorded) + 1
        turn = Turn(id=f"t{n}", role="user", text=f"sentence {n}", created_at=n)
        self.recorder.record(turn, work=worked_on(n))
        self.recorded.append(turn)

    async def talk(self, count: int) -> None:
        """Record turns, one after another."""
        for _ in range(count):
            self.say()
            await asyncio.sleep(PAUSE_S)

    async def die(self) -> None:
        """End as a job that is killed: what waits is not written any more."""
        await self.recorder.aclose()
        await self.store.aclose()

    async def end(self) -> None:
        """Wait until everything is saved, and close."""
        saved = await self.recorder.flush(AGAIN_WITHIN_S)
        await self.die()
        assert self.lost == []
        assert saved, f"{self.recorder.waiting} turns were not saved"

    async def check_kept(self, settings: StoreSettings, *, complete: bool = True) -> None:
        """Compare what was acknowledged with what a new process finds in the store.

        Args:
            settings: how to reach it.
            complete: whether every turn must be there, not only those acknowledged.
        """
        store = SessionStore.from_settings(settings)
        who, session_id = self._joined.session.participant, self._joined.session.id
        try:
            loaded = await patiently(lambda: store.load(who, session_id))
            stored = await patiently(lambda: store._backend.load(who, session_id, last=None))
        finally:
            await store.aclose()
        assert loaded is not None
        assert stored is not None
        kept = [each.turn for each in loaded.turns]
        assert [each.seq for each in loaded.turns] == list(range(1, len(kept) + 1)), "once each"
        assert kept == self.recorded[: len(kept)], "in the order in which they were recorded"
        found = None if loaded.work is None else loaded.work.data
        assert found == worked_on(len(kept)), "what was worked on at the newest turn"
        tags = {seq: tag_of(sealed) for seq, sealed in enumerate(stored.turns, 1)}
        assert {(seq, tag) for seq, tag in self.acknowledged if tags.get(seq) != tag} == set()
        if complete:
            assert len(kept) == len(self.recorded)

    @property
    def key(self) -> str:
        """A key of its participant, for finding out which primary serves it."""
        return KeySpace().participant(self._joined.session.participant).data_key

    def _on_saved(self, turns: Sequence[SealedTurn]) -> None:
        self.acknowledged += [(turn.seq, tag_of(turn.sealed)) for turn in turns]


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again for as long as a failover may take."""
    async with asyncio.timeout(AGAIN_WITHIN_S):
        while True:
            try:
                return await ask()
            except (StoreUnavailable, StoreReadOnly):
                await asyncio.sleep(0.1)
