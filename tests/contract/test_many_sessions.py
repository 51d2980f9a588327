"""More sessions than a Lua call returns values at once: about eight thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.keys import KeySpace
from tests.contract.people import MARIA, join

if TYPE_CHECKING:
    from tests.contract.worlds import RedisWorld

MANY = 9_000


async def test_thousands_of_sessions_are_listed_kept_and_erased(redis_world: RedisWorld) -> None:
    """However many sessions there are, each participant can be erased."""
    backend = redis_world.backend
    job = await join(backend)
    keys = KeySpace().participant(MARIA)
    copy = await redis_world.raw.hgetall(keys.session(job.id))
    ids = [f"session{number:019d}" for number in range(10**9, 10**9 + MANY)]
    async with redis_world.raw.pipeline(transaction=False) as pipe:
        for number, session_id in enumerate(ids):
            pipe.hset(keys.session(session_id), mapping=copy)
            pipe.zadd(keys.sessions, {session_id: number + 1})
        await pipe.execute()

    page = await backend.sessions(MARIA, offset=0, limit=MANY)
    kept = await backend.set_retention(MARIA, 1_000_000)
    erased = await backend.erase(MARIA, "k-1", [])

    assert (page.total, len(page.sessions), kept) == (MANY + 1, MANY, True)
    assert (erased.sessions, erased.left_over) == (MANY + 1, 0)
    assert await redis_world.lifetimes() == {}
