"""Counts by day and by session: right, best effort, and blind to what is sealed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dev.rig.net import NET_S
from dev.rig.servers.process import standalone
from session_store import SessionStore, Turn
from session_store.backends.contract import SideChannel
from session_store.backends.redis.backend import RedisBackend
from session_store.errors import StoreUnavailable
from session_store.events import Event, EventType
from session_store.keys import LONG_LIFETIME, KeySpace
from session_store.sealing.data_key import DataKey
from session_store.sealing.keyring import Keyring
from session_store.upkeep import analytics
from session_store.upkeep.analytics import (
    MAX_WAITING_DAYS,
    Analytics,
    DayCounts,
    last_days,
    session_counts,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import pytest

    from session_store import StoreSettings
    from session_store.backends.values import AuditEntry

DAY = date(2026, 2, 28)


def at(day: date, hour: int = 12) -> int:
    """Return a time of a day, in Unix milliseconds."""
    noon = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return round(noon.timestamp() * 1000)


def event(kind: EventType, who: str = "p1", day: date = DAY, **more: int) -> Event:
    """Return an event of that day."""
    return Event(type=kind, at=at(day), participant=who, session_id="s", **more)


class BrokenSide(SideChannel):
    """A side channel that fails until it is mended, and notes what it is given."""

    def __init__(self) -> None:
        self.is_broken = True
        self.tries = 0
        self.people_by_day: dict[date, set[str]] = {}
        self.counters: dict[date, dict[str, int]] = {}

    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        """Count, or fail."""
        self.tries += 1
        if self.is_broken:
            raise StoreUnavailable("away")
        self.people_by_day.setdefault(day, set()).update(people)
        for name, by in counters.items():
            of_day = self.counters.setdefault(day, {})
            of_day[name] = of_day.get(name, 0) + by

    def listen(self) -> Any:
        """Is not used here."""
        raise NotImplementedError

    async def mark_room(self, mac: str, owner: str, lifetime_ms: int) -> str:
        """Is not used here."""
        raise NotImplementedError

    async def counted(self, day: date) -> Mapping[str, int]:
        """Return what was counted."""
        return self.counters.get(day, {})

    async def people(self, days: Sequence[date]) -> int:
        """Count people."""
        return len(set[str]().union(*(self.people_by_day.get(day, set()) for day in days)))

    async def audit(self, fields: Mapping[str, str]) -> str:
        """Is not used here."""
        raise NotImplementedError

    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        """Is not used here."""
        raise NotImplementedError


@asynccontextmanager
async def counting(store: SessionStore) -> AsyncIterator[Analytics]:
    """Count what a store does, and write it at the end of the block."""
    hook = Analytics(store.side)
    store.add_hook(hook)
    try:
        yield hook
    finally:
        await hook.aclose()


async def talk(store: SessionStore, who: str, turns: int = 2) -> str:
    """Come, say something, go; return the session's id."""
    joined = await store.join(store.pseudonym(who), load_id=f"load-{who}")
    said = [
        store.seal(joined.lease, Turn(id=f"t{n}", role="user", text="hello", created_at=float(n)))
        for n in range(turns)
    ]
    await store.append(joined.lease, said)
    await store.leave(joined.lease)
    await store.release(joined.lease)
    return joined.session.id


async def test_a_day_is_counted(make_store: Callable[..., SessionStore]) -> None:
    """Sessions, rejoins, turns, visits, ends and erasures of several processes add up."""
    one, two = make_store(), make_store()
    async with counting(one) as counts, counting(two):
        await talk(one, "maria", turns=3)
        await talk(two, "maria", turns=1)
        await talk(two, "bob", turns=2)
        await one.close(one.pseudonym("bob"), (await one.open_new(one.pseudonym("bob"))).session.id)
        await one.erase(one.pseudonym("bob"))
        leaving = await two.join(two.pseudonym("eve"))
        await asyncio.sleep(0.02)
        await two.close(two.pseudonym("eve"), leaving.session.id)

    found = await counts.day(datetime.now(UTC).date())
    assert found == DayCounts(
        day=found.day,
        people=3,
        sessions_created=4,
        rejoins=1,
        turns=6,
        visits=found.visits,
        visit_ms=found.visit_ms,
        sessions_ended=2,
        erasures=1,
    )
    assert found.connects == 5
    # Eve's visit ended with her session; whether it had lasted a millisecond is Redis's to say.
    assert found.visits in (3, 4)


async def test_takeovers_and_handoffs_are_told_apart(
    make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """Going on after a release is a handoff; after a death, a lost lease and a takeover."""
    store = make_store()
    who = store.pseudonym("maria")
    async with counting(store) as counts:
        first = await store.join(who)
        await store.release(first.lease)
        second = await store.join(who)
        key = KeySpace().participant(who).session(second.session.id)
        await raw.hset(key, "lease_until", str(int(await raw.hget(key, "lease_until")) - 60_000))
        await store.claim_orphan(who, second.session.id)
        await store.join(who)

    found = await counts.day(datetime.now(UTC).date())
    assert (found.handoffs, found.takeovers, found.leases_lost) == (1, 1, 1)
    assert (found.connects, found.people) == (1, 1)


async def test_people_are_those_who_were_there(store: SessionStore) -> None:
    """Weeks are unions: two visits of a participant count once; an erased one, not at all."""
    hook = Analytics(store.side)
    days = last_days(7, DAY)
    for n, day in enumerate(days):
        hook.on_event(event(EventType.SESSION_RESUMED, "maria", day))
        hook.on_event(event(EventType.TURN_APPENDED, f"guest-{n}", day, turns=1))
        hook.on_event(event(EventType.SESSION_ENDED, f"gone-{n}", day))
        hook.on_event(event(EventType.ERASED, f"gone-{n}", day))
        await hook.flush()

    assert days[-1] == DAY
    assert len(days) == 7
    assert [(await hook.day(day)).people for day in days] == [2] * 7
    assert await hook.active(days) == 8
    assert await hook.active(days[:2]) == 3
    assert await hook.active([]) == 0
    assert (await hook.day(DAY + timedelta(days=1))) == DayCounts(day=DAY + timedelta(days=1))


async def test_many_people_are_estimated_well(store: SessionStore) -> None:
    """Ten thousand participants in two days cost 24 KiB, and are counted within 3 %."""
    side = store.side
    for first, day in ((0, DAY), (4_000, DAY + timedelta(days=1))):
        await side.count(day, {f"p{n}" for n in range(first, first + 6_000)}, {})

    both = await side.people([DAY, DAY + timedelta(days=1)])
    assert abs(both - 10_000) < 300


async def test_counts_and_people_expire(store: SessionStore, raw: Any) -> None:
    """Every key that counting makes has a lifetime, and holds no identity."""
    async with counting(store):
        await talk(store, "maria@example.org")
    today = datetime.now(UTC).date()

    for key in (KeySpace().day_counts(today), KeySpace().day_people(today)):
        assert 0 < await raw.ttl(key) <= LONG_LIFETIME.total_seconds()
        assert b"maria" not in await raw.dump(key)
    assert set(await raw.hgetall(KeySpace().day_counts(today))) == {
        b"sessions_created",
        b"turns",
        b"visits",
        b"visit_ms",
    }


async def test_the_day_is_that_of_the_event(store: SessionStore) -> None:
    """What happened before midnight (UTC) counts for that day, whenever it is written."""
    hook = Analytics(store.side)
    midnight = at(DAY, 0)
    for ms in (midnight - 1, midnight, midnight + 86_400_000 - 1):
        hook.on_event(Event(type=EventType.TAKEOVER, at=ms, participant="p", session_id="s"))
    await hook.aclose()

    assert (await hook.day(DAY - timedelta(days=1))).takeovers == 1
    assert (await hook.day(DAY)).takeovers == 2


async def test_counts_wait_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is kept and written later: nothing is lost, nothing counted twice."""
    monkeypatch.setattr(analytics, "WRITE_EVERY_S", 0.01)
    side = BrokenSide()
    hook = Analytics(side)
    for _ in range(3):
        hook.on_event(event(EventType.TURN_APPENDED, turns=2))
        tries = side.tries
        async with asyncio.timeout(NET_S):
            while side.tries == tries:
                await asyncio.sleep(0.005)
    side.is_broken = False
    hook.on_event(event(EventType.TURN_APPENDED, "p2", turns=1))
    await hook.aclose()

    assert side.counters == {DAY: {"turns": 7}}
    assert side.people_by_day == {DAY: {"p1", "p2"}}


async def test_closing_never_waits_for_a_store_that_is_away() -> None:
    """The end of a job costs one more try, and raises nothing."""
    side = BrokenSide()
    hook = Analytics(side)
    hook.on_event(event(EventType.SESSION_CREATED))
    async with asyncio.timeout(NET_S):
        await hook.aclose()
        await hook.aclose()

    assert side.tries == 1
    assert not await hook.flush()


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the store is away, memory holds a few days and so many people at most."""
    monkeypatch.setattr(analytics, "MAX_WAITING_PEOPLE", 10)
    side = BrokenSide()
    hook = Analytics(side)
    days = last_days(MAX_WAITING_DAYS + 2, DAY)
    for day in days:
        for n in range(25):
            hook.on_event(event(EventType.TURN_APPENDED, f"p{n}", day, turns=1))
    assert not await hook.flush()
    side.is_broken = False
    assert await hook.flush()
    await hook.aclose()

    assert sorted(side.counters) == days[2:]
    assert {each["turns"] for each in side.counters.values()} == {25}
    assert {len(each) for each in side.people_by_day.values()} == {10}


async def test_a_redis_that_comes_back_gets_the_counts(
    make_store: Callable[..., SessionStore], tmp_path: Path
) -> None:
    """With a real Redis that is killed and started again, the counts arrive once it is there."""
    with standalone(tmp_path / "redis") as server:
        store = make_store(redis_url=f"redis://{server.name}/0", redis_retry_s=0.05)
        hook = Analytics(store.side)
        await store.ping()
        server.kill()
        hook.on_event(event(EventType.TURN_APPENDED, turns=5))
        assert not await hook.flush()
        await asyncio.to_thread(server.revive)
        async with asyncio.timeout(NET_S):
            while not await hook.flush():
                await asyncio.sleep(0.02)
        assert (await hook.day(DAY)).turns == 5
        await hook.aclose()


async def test_sessions_are_counted_without_opening_any(
    store: SessionStore, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers by day and by session come from a reader that has no key and opens no seal."""
    async with counting(store):
        first = await talk(store, "maria", turns=3)
        await talk(store, "maria", turns=1)
        second = (await store.open_new(store.pseudonym("maria"))).session.id

    def refuse(*_: Any) -> bytes:
        raise AssertionError("a seal was opened")

    for owner, name in (
        (DataKey, "open_content"),
        (DataKey, "open_turn"),
        (Keyring, "unwrap"),
        (Keyring, "from_settings"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    keyless = settings.model_copy(update={"key_file": None})
    reader = RedisBackend.from_settings(keyless)
    try:
        total, counts = await session_counts(reader, store.pseudonym("maria"))
        day = await Analytics(reader.side).day(datetime.now(UTC).date())
    finally:
        await reader.aclose()

    assert total == 2
    assert [each.session_id for each in counts] == [second, first]
    assert (counts[1].turns, counts[1].returns, counts[1].state) == (4, 1, "away")
    assert counts[1].talk_s >= 0
    assert counts[0].joined_at is None
    assert (day.turns, day.people) == (4, 1)
