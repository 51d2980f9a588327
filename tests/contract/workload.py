"""Writers that do everything at once, a vandal that disturbs them, and the record of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from redis.asyncio import Redis

from session_store import (
    AgentPresence,
    JoinOutcome,
    LeaseLost,
    SequenceGap,
    SessionGone,
    SessionStoreError,
    StoreUnavailable,
    Turn,
    WriteConflict,
)
from session_store.errors import CircuitOpen, StoreLoading
from session_store.sealing.data_key import tag_of
from tests.contract.histories import Final, History, Op, Outcome
from tests.contract.proxy import Cut

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from dev.rig.servers.process import Server
    from session_store import SessionContent, SessionStore
    from session_store.values import Lease, SealedTurn
    from tests.contract.proxy import Proxy

LOST = (LeaseLost, SessionGone, WriteConflict, SequenceGap)
WITH_WORK = 0.5
"""How many of the turns bring what their program works on."""
MAX_WAITING = 8


@dataclass
class Writing:
    """A lease, and what a recorder would still have to send under it."""

    who: str
    lease: Lease
    waiting: list[SealedTurn] = field(default_factory=list)


class Writers:
    """Several processes, as far as the store can tell, that share a few participants."""

    def __init__(self, history: History, people: Sequence[str], rng: random.Random) -> None:
        self._history = history
        self._people = people
        self._rng = rng
        self._said = 0
        self.over = asyncio.Event()
        """Set to let them come to an end."""

    async def run(self, store: SessionStore) -> None:
        """Join, write, go or vanish, and again; sometimes write under a lease of long ago."""
        stale: list[Writing] = []
        while not self.over.is_set():
            who = self._rng.choice(self._people)
            if self._rng.random() < 0.02:
                await self._note("erase", who, partial(store.erase, who))
            if stale and self._rng.random() < 0.3:
                await self._append(store, self._rng.choice(stale))
            writing = await self._join(store, who)
            if writing is None:
                await asyncio.sleep(0.05)
                continue
            for _ in range(self._rng.randrange(40)):
                if self.over.is_set() or not await self._do_something(store, writing):
                    break
            await self._go(store, writing)
            stale.append(writing)
            if self._rng.random() < 0.4:
                await self._claim(store, self._rng.choice(stale[-3:]))

    async def _join(self, store: SessionStore, who: str) -> Writing | None:
        owner, load = f"{self._rng.getrandbits(128):032x}", str(self._rng.randrange(3))

        def read(joined: Any) -> dict[str, Any]:
            return {
                "session": joined.session.id,
                "fence": joined.lease.fencing_token,
                "counted": joined.outcome is JoinOutcome.REJOINED,
            }

        for _ in range(3):
            joined, error = await self._note(
                "join", who, lambda: store.join(who, load_id=load, owner=owner), read=read
            )
            if joined is not None:
                return Writing(who, joined.lease)
            if not isinstance(error, StoreUnavailable):
                return None
            await asyncio.sleep(0.02)
        return None

    async def _do_something(self, store: SessionStore, writing: Writing) -> bool:
        """Make one call; answer whether the lease may still be good."""
        lease = writing.lease
        chosen = self._rng.random()
        error: Exception | None = None
        if chosen < 0.55:
            error = await self._append(store, writing)
        elif chosen < 0.7:
            _, error = await self._note(
                "renew", writing.who, lambda: store.renew(lease.ref), lease=lease
            )
        elif chosen < 0.8:
            error = await self._update(store, writing)
        elif chosen < 0.87:
            _, error = await self._note(
                "leave", writing.who, lambda: store.leave(lease), lease=lease
            )
        elif chosen < 0.94:
            load = str(self._rng.randrange(3))
            _, error = await self._note(
                "arrive",
                writing.who,
                lambda: store.arrive(lease, load_id=load),
                lease=lease,
                read=lambda arrival: {"counted": arrival.counted},
            )
        else:
            await asyncio.sleep(self._rng.random() * 2 * self._history.lease_s)
        return not isinstance(error, LOST)

    async def _append(self, store: SessionStore, writing: Writing) -> Exception | None:
        """Append what waits and a new turn or two, sealed once, resent as they are."""
        lease = writing.lease
        for _ in range(self._rng.randrange(1, 4)):
            if len(writing.waiting) < MAX_WAITING:
                self._said += 1
                # What some of them were recorded with: see ``read_finals``.
                text = f"work {self._said}" if self._rng.random() < WITH_WORK else ""
                turn = Turn(id=f"turn-{self._said}", role="user", text=text, created_at=1.0)
                writing.waiting.append(store.seal(lease, turn, work=text.encode() or None))
        sent = list(writing.waiting)
        turns = tuple((each.seq, tag_of(each.sealed)) for each in sent)
        newest, error = await self._note(
            "append", writing.who, lambda: store.append(lease, sent), lease=lease, turns=turns
        )
        if newest is not None:
            writing.waiting = writing.waiting[len(sent) :]
        return error

    async def _update(self, store: SessionStore, writing: Writing) -> Exception | None:
        def change(content: SessionContent) -> SessionContent:
            self._said += 1
            return content.model_copy(update={"title": f"title {self._said}"})

        lease = writing.lease
        _, error = await self._note(
            "update",
            writing.who,
            lambda: store.update(lease, change),
            lease=lease,
            read=lambda _: {"version": lease.version},
        )
        return error

    async def _go(self, store: SessionStore, writing: Writing) -> None:
        lease, how = writing.lease, self._rng.random()
        if how < 0.3:
            await self._note("leave", writing.who, lambda: store.leave(lease), lease=lease)
        if how < 0.6:
            await self._note("release", writing.who, lambda: store.release(lease), lease=lease)

    async def _claim(self, store: SessionStore, writing: Writing) -> None:
        """Claim the place of a job that may be dead, or not, or not any more the newest."""
        lease, key = writing.lease, f"{self._rng.getrandbits(64):016x}"

        async def claim() -> bool:
            answer = await store.claim_orphan(
                writing.who, lease.session_id, owner=lease.ref.owner, idempotency_key=key
            )
            if answer is AgentPresence.GONE:
                raise SessionGone(lease.session_id)
            return answer is AgentPresence.WANTED

        await self._note(
            "claim", writing.who, claim, lease=lease, read=lambda wanted: {"wanted": wanted}
        )

    async def _note(  # noqa: PLR0913 (what there is to note)
        self,
        kind: str,
        who: str,
        call: Callable[[], Awaitable[Any]],
        *,
        lease: Lease | None = None,
        turns: tuple[tuple[int, bytes], ...] = (),
        read: Callable[[Any], dict[str, Any]] = lambda _: {},
    ) -> tuple[Any, Exception | None]:
        """Make a call, and record it."""
        began = time.monotonic()
        answer: Any = None
        error: SessionStoreError | None = None
        outcome = Outcome.OK
        try:
            answer = await call()
        except SessionStoreError as raised:
            error = raised
            surely_not = isinstance(raised, CircuitOpen | StoreLoading)
            unknown = isinstance(raised, StoreUnavailable) and not surely_not
            outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED
        known: dict[str, Any] = {}
        if lease is not None:
            known = {"session": lease.session_id, "fence": lease.fencing_token}
        if outcome is Outcome.OK:
            known |= read(answer)
        self._history.ops.append(
            Op(
                kind=kind,
                who=who,
                began=began,
                ended=time.monotonic(),
                outcome=outcome,
                turns=turns,
                error=type(error).__name__ if error else "",
                **known,
            )
        )
        return answer if error is None else None, error


class Vandal:
    """Disturbs a Redis and the wire to it, and notes when."""

    def __init__(
        self, history: History, server: Server, proxy: Proxy, rng: random.Random, *, kills: bool
    ) -> None:
        self._history = history
        self._server = server
        self._proxy = proxy
        self._rng = rng
        self._kills = kills

    async def run(self, times: int) -> None:
        """Do something bad, wait a moment, and again."""
        ways = [self._cut, self._cut, self._cut, self._hang_up, self._cut, self._pause]
        if self._kills:
            ways.append(self._kill)
        for number in range(times):
            await asyncio.sleep(0.02 + self._rng.random() * 0.1)
            began = time.monotonic()
            await ways[number % len(ways)]()
            # What was on its way then may be repeated for as long as a call may take.
            self._history.disturbances.append((began, time.monotonic() + 1))
        self._proxy.heal()
        await asyncio.to_thread(self._server.revive)

    async def _cut(self) -> None:
        """Cut the wire at a few of the next commands."""
        where = self._rng.choice([Cut.BEFORE, Cut.WITHIN, Cut.AFTER, Cut.AFTER])
        self._proxy.cut(where, self._rng.randrange(1, 12))
        await asyncio.sleep(0.05)

    async def _hang_up(self) -> None:
        """Let Redis close all connections."""
        async with Redis(port=self._server.port) as client:
            with contextlib.suppress(redis.RedisError):
                await client.client_kill_filter(_type="normal", skipme=True)

    async def _pause(self) -> None:
        """Stop Redis, for longer than a lease or a call may take, or not so long."""
        self._server.pause()
        await asyncio.sleep(self._rng.choice([0.02, 0.2, 0.5]))
        self._server.resume()

    async def _kill(self) -> None:
        """Kill Redis, and start it again from what it had written."""
        self._server.kill()
        await asyncio.sleep(self._rng.random() * 0.2)
        await asyncio.to_thread(self._server.revive)


async def read_finals(history: History, store: SessionStore) -> None:
    """Add to a history what there is in the end."""
    found = {(op.who, op.session) for op in history.ops if op.session}
    for who, session in sorted(found):
        stored = await store._backend.load(who, session, last=None)
        if stored is not None:
            history.finals[session] = Final(
                who=who,
                seq=stored.seq,
                tags=tuple(tag_of(each) for each in stored.turns),
                reconnect_count=stored.reconnect_count,
                version=stored.version,
                fence=int(stored.fence),
            )
            # And all of it opens, and fits together.
            loaded = await store.load(who, session)
            assert loaded is not None
            worked_on = [each.turn.text for each in loaded.turns if each.turn.text]
            assert not worked_on or loaded.work is not None
            if worked_on and loaded.work is not None:
                assert loaded.work.data.decode() == worked_on[-1]
