"""How much memory: of a turn, and of a session that nobody is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.store import server
from benchmarks.store.contestants import KEPT_TURNS, DataMissing
from benchmarks.store.measured import IdleBytes, TurnBytes
from benchmarks.store.plan import CONTESTANTS
from benchmarks.store.stage import at_most, names
from benchmarks.store.timing import TEXTS

if TYPE_CHECKING:
    from benchmarks.store.stage import Stage

_AT_A_TIME: Final = 16


async def turns(stage: Stage) -> dict[str, TurnBytes]:
    """Weigh turns, by contestant."""
    found = {}
    for name in CONTESTANTS:
        database = stage.databases.fresh()
        async with stage.contestant(name, database) as contestant:
            await contestant.fill("weighed", TEXTS[:KEPT_TURNS])
        [(items, memory)] = [each async for each in server.lists_of(database)]
        if len(items) != KEPT_TURNS:
            raise DataMissing(name)
        stored = sum(len(item) for item in items)
        found[name] = TurnBytes(stored / KEPT_TURNS, memory / KEPT_TURNS)
    return found


async def idle_sessions(stage: Stage) -> IdleBytes:
    """Weigh sessions of the store: one by its keys, many by what Redis has allocated."""
    alone, many = stage.databases.fresh(), stage.databases.fresh()
    async with stage.ours(alone) as one:
        await one.idle("alone")
    async with stage.ours(many) as crowd:
        # The buffers of connections are no session's.
        await at_most(_AT_A_TIME, [crowd.idle(f"first-{name}") for name in names(_AT_A_TIME)])
        before = await server.used_memory(many)
        await at_most(_AT_A_TIME, [crowd.idle(name) for name in names(stage.plan.idle)])
        grown = await server.used_memory(many) - before
    return IdleBytes(grown / stage.plan.idle, await server.memory_of_keys(alone))
