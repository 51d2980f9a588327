"""The sweeper: ends sessions after their resume window, and erases them after their retention.

Any number of processes may run one. They share the 1024 shards by rendezvous hashing over a
registry in the store. One of them reads each shard about once a second. Each of them also reads
all shards every ten seconds, in case the registry is wrong for a while. Two sweepers at the same
session do no harm: one of them makes the change and publishes its event. All deadlines are in the
store's time.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from session_store.backends.values import SettleOutcome
from session_store.errors import SessionStoreError, StoreUnavailable
from session_store.keys import CLOCKS_DIFFER, SHARDS
from session_store.tasks import Loop, happens_within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from session_store.backends.values import LiveSweepers, SessionRef
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

DEFAULT_EVERY_S: Final = 1.0
DEFAULT_ALL_EVERY_S: Final = 10.0
ALIVE_ROUNDS: Final = 3
"""A sweeper without a sign of life for this many rounds is dead: others take its shards."""
MAX_PER_SHARD: Final = 100
"""Deadlines that are read of each shard at a time; a shard with more is read again."""
MAX_AT_ONCE: Final = 64
"""Sessions that are settled at a time."""
MAX_FAILING: Final = 1000
"""Failing sessions that are remembered, so that each is logged once."""
_CLOCKS_DIFFER_MS: Final = round(CLOCKS_DIFFER.total_seconds() * 1000)
END_WITHIN_S: Final = 2.0
"""How long ``aclose`` waits for a sweep to end by itself, so that hooks get all its events."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did."""

    ended: int = 0
    """Sessions that ended: their resume window had passed."""
    erased: int = 0
    """Sessions that were erased: their retention had passed."""
    orphaned: int = 0
    """Sessions that may lack their agent; reported again until a watcher acts."""
    failed: int = 0
    """Sessions that could not be read; they stay due."""

    @property
    def changed(self) -> int:
        """How many sessions this sweep has changed."""
        return self.ended + self.erased


class Sweeper:
    """Sweeps in the background, from ``start`` to ``aclose``.

    Args:
        store: the store; its hooks get the events of this sweeper.
        me: a unique name of this sweeper; random by default.
        every_s: how often this sweeper reads its own shards.
        all_every_s: how often it reads all shards.
        on_orphan: called with each session that may lack its agent, again after each length of a
            lease; must neither block nor raise. ``SessionStore.claim_orphan`` decides which
            watcher acts.
        on_overdue: called instead of ``on_orphan`` for sessions without a lease.
        on_late: called with each session that has a late holder, which may be dead, shortly before
            its lease runs out; must neither block nor raise.
        is_able: returns whether this process can replace agents now. While it cannot, other
            sweepers take its shards, and it only reads all shards from time to time.
    """

    def __init__(  # noqa: PLR0913 (what has a default is seldom given)
        self,
        store: SessionStore,
        *,
        me: str | None = None,
        every_s: float = DEFAULT_EVERY_S,
        all_every_s: float = DEFAULT_ALL_EVERY_S,
        on_orphan: Callable[[SessionRef], None] | None = None,
        on_overdue: Callable[[SessionRef], None] | None = None,
        on_late: Callable[[SessionRef], None] | None = None,
        is_able: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._is_able = is_able
        self._me = me or secrets.token_hex(8)
        self._every_s = every_s
        self._all_every_s = all_every_s
        self._hears = {
            SettleOutcome.ORPHANED: on_orphan,
            SettleOutcome.OVERDUE: on_overdue or on_orphan,
            SettleOutcome.LATE: on_late,
        }
        self._shares = Shares(self._me)
        self._ending = asyncio.Event()
        self._loop = Loop(self._run, name="sweeper")
        self._trouble = ""
        self._latest_ms = 0
        """The store's clock at the last report."""
        self._failing: set[SessionRef] = set()

    def start(self) -> None:
        """Begin to sweep in the background. A second start is a no-op."""
        if not self._loop.is_running:
            self._ending.clear()
            self._loop.start()

    async def aclose(self) -> None:
        """Stop sweeping. Other sweepers take the shards within a few rounds."""
        self._ending.set()
        await self._loop.aclose(within_s=END_WITHIN_S)

    async def sweep(self, shards: Sequence[int] | None = None) -> SweepReport:
        """Settle all due sessions of these shards, or of all, now.

        Raises:
            StoreUnavailable, StoreRefused: the other sessions stay due.
        """
        wanted = range(SHARDS) if shards is None else shards
        counts: Counter[str] = Counter()
        looked_at: set[SessionRef] = set()
        while wanted:
            # Sessions that cannot be settled stay in front, and must not hide the others.
            limit = MAX_PER_SHARD + len(self._failing)
            due = await self._store.due(wanted, limit)
            # A session that stays due must not be read again and again.
            due = [session for session in due if session not in looked_at]
            looked_at.update(due)
            if not due:
                break
            for first in range(0, len(due), MAX_AT_ONCE):
                await self._settle(due[first : first + MAX_AT_ONCE], counts)
        return SweepReport(
            ended=counts[SettleOutcome.ENDED],
            erased=counts[SettleOutcome.ERASED],
            orphaned=counts[SettleOutcome.ORPHANED] + counts[SettleOutcome.OVERDUE],
            failed=counts["failed"],
        )

    async def _settle(self, due: Sequence[SessionRef], counts: Counter[str]) -> None:
        results = await asyncio.gather(*map(self._store.settle, due), return_exceptions=True)
        problem: BaseException | None = None
        for session, result in zip(due, results, strict=True):
            if isinstance(result, SessionStoreError) and not isinstance(result, StoreUnavailable):
                counts["failed"] += 1
                self._note_failure(session, result)
            elif isinstance(result, BaseException):
                problem = result
            else:
                counts[result] += 1
                self._failing.discard(session)
                if (hears := self._hears.get(result)) is not None:
                    hears(session)
        if problem is not None:
            raise problem

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        all_at = loop.time()
        while not self._ending.is_set():
            begun = loop.time()
            try:
                alive: Collection[str] = ()
                if is_able := self._is_able():
                    live = await self._store.sweepers(self._me, self._alive_ms())
                    alive = live.names
                    if await self._look_at_all_if_set_back(live):
                        all_at = begun
                if begun >= all_at:
                    all_at = begun + self._all_every_s
                    await self.sweep()
                elif is_able:
                    await self.sweep(self._shares.of(alive))
            except SessionStoreError as error:
                self._note_trouble(error)
            except Exception:
                # A sweeper that a defect has ended would leave sessions open, and not be missed.
                logger.exception("a sweep failed; the next one goes on")
            else:
                self._note_end_of_trouble()
            await happens_within(self._ending, max(0.0, begun + self._every_s - loop.time()))

    async def _look_at_all_if_set_back(self, live: LiveSweepers) -> bool:
        """Have all sessions looked at, if the store's clock was set back; return whether it was.

        Their deadlines, of the time before, would seem far away.
        """
        was_set_back = live.was_set_back or live.now < self._latest_ms - _CLOCKS_DIFFER_MS
        if was_set_back:
            logger.warning("the store's clock was set back: looking at all sessions")
            await self._store.make_all_due(range(SHARDS))
        self._latest_ms = live.now
        return was_set_back

    def _alive_ms(self) -> int:
        return round(self._every_s * ALIVE_ROUNDS * 1000)

    def _note_failure(self, session: SessionRef, error: SessionStoreError) -> None:
        """Log once that a session cannot be swept. Each round tries it again."""
        if session not in self._failing and len(self._failing) < MAX_FAILING:
            self._failing.add(session)
            logger.warning(
                "a session cannot be swept",
                extra={"session_id": session.session_id, "reason": str(error)},
            )

    def _note_trouble(self, error: SessionStoreError) -> None:
        """Log once that the store is unreachable. The next rounds try it again."""
        kind = "away" if isinstance(error, StoreUnavailable) else type(error).__name__
        if self._trouble != kind:
            self._trouble = kind
            logger.warning("the sweeper waits for the store", extra={"reason": str(error)})

    def _note_end_of_trouble(self) -> None:
        if self._trouble:
            self._trouble = ""
            logger.info("the sweeper goes on")


class Shares:
    """This sweeper's shards: the highest hash of sweeper and shard wins (rendezvous hashing).

    When a sweeper comes or goes, only its own shards move.
    """

    def __init__(self, me: str) -> None:
        self._me = me
        self._weights: dict[str, list[bytes]] = {}
        self._alive: frozenset[str] = frozenset()
        self._mine: Sequence[int] = ()

    def of(self, alive: Iterable[str]) -> Sequence[int]:
        """Return this sweeper's shards while it and these sweepers are alive."""
        names = frozenset(alive) | {self._me}
        if names != self._alive:
            self._alive = names
            self._mine = self._share(names)
        return self._mine

    def _share(self, names: Collection[str]) -> Sequence[int]:
        self._weights = {name: self._weights.get(name) or _weights(name) for name in names}
        mine = self._weights[self._me]
        others = [(name, self._weights[name]) for name in names if name != self._me]
        return [
            shard
            for shard in range(SHARDS)
            if all((mine[shard], self._me) > (other[shard], name) for name, other in others)
        ]


def _weights(name: str) -> list[bytes]:
    start = hashlib.blake2b(name.encode(), digest_size=8)
    weights = []
    for shard in range(SHARDS):
        digest = start.copy()
        digest.update(shard.to_bytes(2))
        weights.append(digest.digest())
    return weights
