"""The sweeper: ends sessions whose resume window has passed, and erases those past retention.

Any number of processes may run one. They share the 1024 shards by rendezvous hashing over a
registry in the store: each shard is looked at about once a second by one of them, and all shards
by each of them every ten seconds, as a net for a registry that is wrong for a while. Two that look
at the same session do no harm: what is due is done, and its event published, by one of them. All
deadlines are by the store's own clock.
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
from session_store.keys import SHARDS
from session_store.tasks import Loop, happens_within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from session_store.backends.values import SessionRef, Settled
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

DEFAULT_EVERY_S: Final = 1.0
DEFAULT_ALL_EVERY_S: Final = 10.0
ALIVE_ROUNDS: Final = 3
"""A sweeper that was not heard of for so many rounds is gone: the others take its shards."""
MAX_PER_SHARD: Final = 100
"""Deadlines read of each shard at a time; a shard with more is read again."""
MAX_AT_ONCE: Final = 64
"""Sessions settled at a time."""
MAX_FAILING: Final = 1000
"""Sessions that are remembered for having been complained about."""
END_WITHIN_S: Final = 2.0
"""How long ``aclose`` lets a sweep end by itself, so that its hooks hear all it has done."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep came to."""

    ended: int = 0
    """Sessions whose resume window had passed."""
    erased: int = 0
    """Sessions whose retention had passed."""
    orphaned: int = 0
    """Sessions that may lack their agent; each comes again until somebody sees to it."""
    failed: int = 0
    """Sessions that could not be looked at; they stay due."""

    @property
    def changed(self) -> int:
        """How many sessions this sweep has changed."""
        return self.ended + self.erased


class Sweeper:
    """Sweeps in the background, from ``start`` to ``aclose``.

    Args:
        store: whose sessions; its hooks hear what this sweeper did.
        me: a name that no other sweeper has; random by default.
        every_s: how often this sweeper looks at its own shards.
        all_every_s: how often it looks at all shards.
        on_orphan: hears of each session that may lack its agent, again after each length of a
            lease; must neither block nor raise. ``SessionStore.claim_orphan`` decides who acts.
        on_overdue: hears, instead of ``on_orphan``, of those that nobody holds a lease of.
        on_late: hears of each session whose holder may be dead, shortly before its lease runs out;
            the same.
        is_able: tells whether this process can see to orphans now. While it cannot, the others
            take its shards, and it only looks at all of them from time to time.
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
        self._failing: set[SessionRef] = set()

    def start(self) -> None:
        """Begin to sweep, in a task of its own. A second start is a no-op."""
        if not self._loop.is_running:
            self._ending.clear()
            self._loop.start()

    async def aclose(self) -> None:
        """Stop sweeping; the other sweepers take over within a few rounds."""
        self._ending.set()
        await self._loop.aclose(within_s=END_WITHIN_S)

    async def sweep(self, shards: Sequence[int] | None = None) -> SweepReport:
        """Do what is due in these shards, or in all, now.

        Raises:
            StoreUnavailable, StoreRefused: what was not done yet stays due.
        """
        wanted = range(SHARDS) if shards is None else shards
        counts: Counter[str] = Counter()
        looked_at: set[SessionRef] = set()
        while wanted:
            # Those that cannot be settled stay in front, and must not hide the others.
            limit = MAX_PER_SHARD + len(self._failing)
            due = await self._store.backend.due(wanted, limit)
            # What stays due (it could not be settled) must not be read for ever.
            due = [each for each in due if each not in looked_at]
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
        results = await asyncio.gather(
            *(self._store.backend.settle(*each) for each in due), return_exceptions=True
        )
        problem: BaseException | None = None
        for each, result in zip(due, results, strict=True):
            if isinstance(result, SessionStoreError) and not isinstance(result, StoreUnavailable):
                counts["failed"] += 1
                self._note_failure(each, result)
            elif isinstance(result, BaseException):
                problem = result
            else:
                counts[result.outcome] += 1
                self._failing.discard(each)
                self._tell(each, result)
                if result.outcome is SettleOutcome.GONE:
                    await self._forget(each.participant)
        if problem is not None:
            raise problem

    async def _forget(self, participant: str) -> None:
        """Remove somebody who is gone by expiry from the lists of keys: no hash names the list."""
        for key_id in self._store.keyring.ids:
            await self._store.backend.forget_wrapped(participant, key_id)

    def _tell(self, session: SessionRef, settled: Settled) -> None:
        self._store.tell(settled.events)
        hears = self._hears.get(settled.outcome)
        if hears is not None:
            hears(session)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        all_at = loop.time()
        while not self._ending.is_set():
            begun = loop.time()
            try:
                alive: Collection[str] = ()
                if is_able := self._is_able():
                    alive = await self._store.backend.sweepers(self._me, self._alive_ms())
                if begun >= all_at:
                    all_at = begun + self._all_every_s
                    await self.sweep()
                elif is_able:
                    await self.sweep(self._shares.of(alive))
            except SessionStoreError as error:
                self._note_trouble(error)
            except Exception:
                # One that a defect has ended would leave sessions open for ever, unnoticed.
                logger.exception("a sweep failed; the next one goes on")
            else:
                self._note_end_of_trouble()
            await happens_within(self._ending, max(0.0, begun + self._every_s - loop.time()))

    def _alive_ms(self) -> int:
        return round(self._every_s * ALIVE_ROUNDS * 1000)

    def _note_failure(self, session: SessionRef, error: SessionStoreError) -> None:
        """Say once that a session cannot be swept; it is tried again each round."""
        if session not in self._failing and len(self._failing) < MAX_FAILING:
            self._failing.add(session)
            logger.warning(
                "a session cannot be swept",
                extra={"session_id": session.session_id, "reason": str(error)},
            )

    def _note_trouble(self, error: SessionStoreError) -> None:
        """Say once that the store is away; the next rounds find out when it is back."""
        kind = "away" if isinstance(error, StoreUnavailable) else type(error).__name__
        if self._trouble != kind:
            self._trouble = kind
            logger.warning("the sweeper waits for the store", extra={"reason": str(error)})

    def _note_end_of_trouble(self) -> None:
        if self._trouble:
            self._trouble = ""
            logger.info("the sweeper goes on")


class Shares:
    """Which shards are whose: the highest hash of sweeper and shard wins (rendezvous hashing).

    When a sweeper comes or goes, only shards that it wins change hands.
    """

    def __init__(self, me: str) -> None:
        self._me = me
        self._weights: dict[str, list[bytes]] = {}
        self._alive: frozenset[str] = frozenset()
        self._mine: Sequence[int] = ()

    def of(self, alive: Iterable[str]) -> Sequence[int]:
        """Return the shards that are mine while these sweepers, and I, are alive."""
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
        each = start.copy()
        each.update(shard.to_bytes(2))
        weights.append(each.digest())
    return weights
