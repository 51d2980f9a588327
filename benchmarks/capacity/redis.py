"""What Redis spends on a call, and keeps of a session.

The calls come on connections of their own, as those of jobs do, so none shares a round trip with
another. Redis appends to its file, synced once a second, and guards itself with the users that are
shipped.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.capacity.processes import spent
from benchmarks.capacity.workers import redis_pid
from benchmarks.store.stage import at_most, names
from benchmarks.store.timing import TEXTS
from session_store import SessionStore, StoreSettings, Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dev.rig.stand import Stand
    from session_store import Lease

_CONNECTIONS: Final = 16
_VISITS_PER_CALL: Final = 4
"""A visit is several calls; so many fewer are made."""
KEPT_TURNS: Final = 20
"""In a session that is weighed or visited; of 200 bytes each."""


@dataclass(frozen=True, slots=True)
class RedisCost:
    """Processor time of Redis in microseconds, and memory in bytes."""

    renew_us: float
    draft_us: float
    append_us: float
    visit_us: float
    """To join a session of ``KEPT_TURNS`` turns, leave it, and give its lease back."""
    session_bytes: float
    """A session without turns that nobody is in, with its participant."""
    turn_bytes: float
    """A turn of 200 bytes."""


async def measure(stand: Stand, calls: int, sessions: int) -> RedisCost:
    """Make so many calls of each kind, and weigh so many sessions. No worker may run."""
    async with AsyncExitStack() as stores:
        jobs = [await _job(stores, stand, name) for name in names(_CONNECTIONS)]
        times = calls // _CONNECTIONS
        groups = {"redis": [redis_pid(stand)]}

        async def cost_us(call: Callable[[_Job], Awaitable[object]], times: int) -> float:
            async def repeat(job: _Job) -> None:
                for _ in range(times):
                    await call(job)

            took = await spent(groups, asyncio.gather(*map(repeat, jobs)))
            return 1e6 * took.cpu_s["redis"] / (times * _CONNECTIONS)

        renew_us = await cost_us(_Job.renew, times)
        draft_us = await cost_us(_Job.draft, times)
        append_us = await cost_us(_Job.append, times)
        visit_us = await cost_us(_Job.visit, times // _VISITS_PER_CALL)
        session_bytes = await _weigh(stand, jobs[0].store, sessions, turns=0)
        full_bytes = await _weigh(stand, jobs[0].store, sessions, turns=KEPT_TURNS)
    return RedisCost(
        renew_us=renew_us,
        draft_us=draft_us,
        append_us=append_us,
        visit_us=visit_us,
        session_bytes=session_bytes,
        turn_bytes=(full_bytes - session_bytes) / KEPT_TURNS,
    )


class _Job:
    """The calls of a job, which has a connection of its own."""

    def __init__(self, store: SessionStore, lease: Lease, visited: str) -> None:
        self.store = store
        self._lease = lease
        self._visited = visited
        self._numbers = itertools.count()

    def _turn(self) -> Turn:
        return _turn(next(self._numbers))

    async def renew(self) -> None:
        await self.store.renew(self._lease)

    async def draft(self) -> None:
        await self.store.keep_draft(self._lease, self.store.seal_draft(self._lease, self._turn()))

    async def append(self) -> None:
        await self.store.append(self._lease, [self.store.seal(self._lease, self._turn())])

    async def visit(self) -> None:
        joined = await self.store.join(self._visited, load_id=f"load-{next(self._numbers)}")
        await self.store.leave(joined.lease)
        await self.store.release(joined.lease)


async def _job(stores: AsyncExitStack, stand: Stand, name: str) -> _Job:
    settings = {
        "redis_url": stand.redis_url_at("127.0.0.1", stand.redis.port),
        "key_file": stand.folder / "keys.json",
    }
    store = SessionStore.from_settings(StoreSettings.model_validate(settings))
    stores.push_async_callback(store.aclose)
    talking = await store.join(store.pseudonym(f"{name} talks"))
    return _Job(store, talking.lease, await _left(store, f"{name} visits", KEPT_TURNS))


async def _left(store: SessionStore, name: str, turns: int) -> str:
    """Make a session with so many turns that nobody is in; return its participant."""
    participant = store.pseudonym(name)
    lease = (await store.join(participant)).lease
    await store.append(lease, [store.seal(lease, _turn(number)) for number in range(turns)])
    await store.leave(lease)
    await store.release(lease)
    return participant


async def _weigh(stand: Stand, store: SessionStore, sessions: int, *, turns: int) -> float:
    """Return the bytes by which Redis grows with each of many sessions."""
    before = _used_memory(stand)
    crowd = [_left(store, f"weighed {turns} {name}", turns) for name in names(sessions)]
    await at_most(_CONNECTIONS, crowd)
    return (_used_memory(stand) - before) / sessions


def _used_memory(stand: Stand) -> int:
    """Return the bytes that Redis has allocated, but for what is on its way to clients and disk."""
    with stand.redis.client() as client:
        info: Any = client.info("memory")
    on_the_way = int(info["mem_clients_normal"]) + int(info["mem_aof_buffer"])
    return int(info["used_memory"]) - on_the_way


def _turn(number: int) -> Turn:
    text = TEXTS[number % len(TEXTS)]
    return Turn(id=f"item_{number:012x}", role="user", text=text, created_at=time.time())
