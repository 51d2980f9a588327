"""A wire that is cut, and scripts that fail: nothing is half-written, and repeating helps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from session_store import LeaseLost, StoreRefused, StoreUnavailable
from session_store.errors import StoreFull
from tests.contract.cases import CASES
from tests.contract.people import MARIA, listening
from tests.contract.proxy import Cut, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.rig.servers.process import Server
    from session_store.backends.contract import Backend
    from session_store.events import Event
    from tests.contract.cases import Case
    from tests.contract.worlds import RedisWorld

TIMES = {
    b"joined_at",
    b"arrived_at",
    b"last_seen",
    b"lease_until",
    b"window_until",
    b"agent_by",
    b"ended_at",
    b"created",
    b"consent_at",
    b"touched",
    b"fence",
    b"replaced",
    b"lost",
    b"lost_until",
    b"gave_up",
    b"let_in",
    b"left_at",
    b"taken_at",
    b"away_at",
    b"claimed_at",
    b"moved_at",
    b"made",
    b"at",
}
"""Fields that hold a time, or a number made from it."""
CLOSE_MS = 10_000


class Age:
    """How long ago something was. Equal to another one that is close, as far as can be known."""

    def __init__(self, ms: float, unsure_ms: float) -> None:
        self._ms = ms
        self._unsure_ms = unsure_ms

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Age):
            return False
        # On a starved machine, the same steps take seconds more.
        close_ms = CLOSE_MS + max(self._unsure_ms, other._unsure_ms)
        return abs(self._ms - other._ms) <= close_ms

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self._ms:.0f} ms ago"


async def now_ms(world: RedisWorld) -> int:
    """Return the time of Redis."""
    seconds, micros = await world.raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def snapshot(world: RedisWorld, since_ms: int) -> dict[tuple[bytes, Any], Any]:
    """Return all that Redis holds, with times as ages.

    Args:
        world: with its Redis.
        since_ms: when its case was begun.
    """
    raw = world.raw
    now = await now_ms(world)

    def age(value: float) -> Age | None:
        return Age(now - value, now - since_ms) if value > 0 else None

    held: dict[tuple[bytes, Any], Any] = {}
    for key in await raw.keys():
        if key.endswith(b":erased") and MARIA.encode() not in key:
            continue  # A listener's.
        match await raw.type(key):
            case b"hash":
                for name, value in (await raw.hgetall(key)).items():
                    # A late turn is named by a fence, which is made from the time.
                    kind, place = name.split(b":")[0], name.rpartition(b":")[2]
                    held[key, (kind, place)] = aged_field(name, value, age)
            case b"zset":
                for member, score in await raw.zrange(key, 0, -1, withscores=True):
                    held[key, member] = age(score)
            case b"list":
                held[key, "turns"] = await raw.lrange(key, 0, -1)
            case _:
                held[key, "members"] = await raw.smembers(key)
        assert await raw.pttl(key) > 0
    return held


def aged_field(name: bytes, value: bytes, age: Callable[[float], Age | None]) -> Any:
    """Read a field of a hash, with times as ages."""
    if name == b"deaths":
        return [age(int(at)) for at in value.split()]
    if name in {b"talk_ms", b"gap_ms"}:
        return Age(int(value), 0)
    return age(int(value)) if name in TIMES else value


def untimed(events: list[Event]) -> list[Event]:
    """Forget when events happened, and times of a few milliseconds."""
    names = ("visit_ms", "silent_ms")
    return [
        each.model_copy(
            update={"at": 0, **{name: getattr(each, name) // (2 * CLOSE_MS) for name in names}}
        )
        for each in events
    ]


async def reference(world: RedisWorld, case: Case) -> tuple[Any, Any, Any, list[Event]]:
    """Return the state before and after, the answer and the events, when nothing goes wrong."""
    since = await now_ms(world)
    prepared = await case.prepare(world)
    before = await snapshot(world, since)
    async with listening(world.another()) as heard:
        answer = await case.act(world.backend, prepared)
    after = await snapshot(world, since)
    await world.raw.flushall()
    return before, after, answer, untimed(heard)


async def insist(backend: Backend, case: Case, prepared: Any) -> Any:
    """Repeat an operation until there is an answer."""
    while True:
        try:
            return await case.act(backend, prepared)
        except StoreUnavailable:
            await asyncio.sleep(0.005)
        except LeaseLost:
            # Of a release that happened the first time.
            return None


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("where", Cut)
@pytest.mark.parametrize("name", CASES)
async def test_a_cut_wire_leaves_nothing_half_written(
    redis_world: RedisWorld, redis_server: Server, name: str, where: Cut, times: int
) -> None:
    """An operation happened or did not; repeated, it has happened once, and was told once.

    One cut is hidden by the transport, which repeats; after two the caller hears of it.
    """
    world, case = redis_world, CASES[name]
    before, after, answer, events = await reference(world, case)
    assert (before != after) == case.writes
    since = await now_ms(world)
    prepared = await case.prepare(world)
    async with Proxy(redis_server.port) as proxy, listening(world.another()) as heard:
        backend = world.another(redis_url=f"redis://127.0.0.1:{proxy.port}/0", redis_retry_s=0.005)
        await backend.ping()
        proxy.cut(where, times)
        try:
            answered = await case.act(backend, prepared)
        except StoreUnavailable:
            held = await snapshot(world, since)
            assert times > 1
            assert held == before or (held == after and where is Cut.AFTER)
            proxy.heal()
            answered = await insist(backend, case, prepared)
        except LeaseLost:
            assert name in {"release", "put back"}
            assert where is Cut.AFTER
            answered = None
        assert proxy.made_cuts == times
        assert await snapshot(world, since) == after
        if case.answers_again:
            assert answered == answer
        await backend.aclose()
    assert untimed(heard) == events


@pytest.mark.parametrize("name", CASES)
async def test_a_script_that_fails_writes_nothing(redis_world: RedisWorld, name: str) -> None:
    """Whichever of its keys is not what it should be, the operation is refused as a whole."""
    world, case = redis_world, CASES[name]
    declared = await keys_of(world, case)
    assert declared or not case.writes
    refused = 0
    for key in declared:
        await world.raw.flushall()
        prepared = await case.prepare(world)
        await world.raw.delete(key)
        if await world.raw.type(key) == b"none":
            await world.raw.set(key, "something else")
        before = await world.dump()
        try:
            await case.act(world.backend, prepared)
        except StoreRefused as error:
            assert "WRONGTYPE" in str(error)  # noqa: PT017 (some keys are only deleted)
            assert await world.dump() == before
            refused += 1
    assert refused or not declared


@pytest.mark.parametrize("name", CASES)
async def test_a_full_redis_takes_all_or_nothing(redis_world: RedisWorld, name: str) -> None:
    """Without memory, an operation is refused and changes nothing, or it needs none."""
    world, case = redis_world, CASES[name]
    before, after, _, _ = await reference(world, case)
    since = await now_ms(world)
    prepared = await case.prepare(world)
    await world.raw.config_set("maxmemory", 1)
    try:
        await case.act(world.backend, prepared)
        full = False
    except StoreFull:
        full = True
    finally:
        await world.raw.config_set("maxmemory", 0)
    assert await snapshot(world, since) == (before if full else after)
    await insist(world.backend, case, prepared)
    assert await snapshot(world, since) == after


async def keys_of(world: RedisWorld, case: Case) -> list[str]:
    """Return the keys that an operation's scripts declare."""
    prepared = await case.prepare(world)
    declared: list[str] = []
    run = world.backend._run

    async def spy(name: str, keys: Any, args: Any, **options: Any) -> Any:
        declared.extend(key for key in keys if key not in declared)
        return await run(name, keys, args, **options)

    world.backend._run = spy  # type: ignore[method-assign]
    try:
        await case.act(world.backend, prepared)
    finally:
        world.backend._run = run  # type: ignore[method-assign]
    return declared
