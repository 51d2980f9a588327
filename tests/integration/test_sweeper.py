"""The sweeper: sessions end and are erased in time, once, by any of many sweepers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.servers.process import standalone
from session_store import SessionState
from session_store.backends.values import AgentPresence, SessionRef
from session_store.errors import StoreUnavailable
from session_store.events import Event, EventType
from session_store.keys import SHARDS, KeySpace, shard_of
from session_store.upkeep import sweeper
from session_store.upkeep.sweeper import Shares, Sweeper, SweepReport
from tests.integration.keeping import left_in, pass_time, talk, talk_and_go

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from session_store import SessionStore

PEOPLE = [f"person {number}" for number in range(30)]
WINDOW_S = 300
RETENTION_S = 24 * 3600
NEVER_S = 1e9


class Heard:
    """A hook that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        """Remember."""
        self.events.append(event)


@pytest.fixture
async def published(raw: Any) -> AsyncIterator[Callable[[], Any]]:
    """Subscribe to the real channel; the answer reads what came since, once it is all there."""
    async with raw.pubsub() as channel:
        await channel.subscribe(KeySpace().events)

        async def read() -> list[Event]:
            await raw.publish(KeySpace().events, b"end")
            events = []
            async for message in channel.listen():
                if message["data"] == b"end":
                    break
                if message["type"] == "message":
                    event = Event.parse(message["data"])
                    assert event is not None
                    events.append(event)
            return events

        yield read


def of_type(events: list[Event], kind: EventType) -> Counter[str]:
    """Count events of a type by session."""
    return Counter(event.session_id for event in events if event.type is kind)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the sweeper has logged."""
    return [each.message for each in caplog.records if each.name == sweeper.__name__]


async def until(condition: Callable[[], Any], timeout_s: float = 10) -> None:
    """Wait until a condition, which may be asynchronous, holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            answer = condition()
            if (await answer) if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.01)


async def state(store: SessionStore, participant: str) -> SessionState | None:
    """Return the state of a participant's only session."""
    sessions = (await store.sessions(participant)).sessions
    return sessions[0].state if sessions else None


async def test_five_sweepers_end_each_session_once(
    make_store: Callable[..., SessionStore], raw: Any, published: Any
) -> None:
    """However many sweep at once, each end is done, published and told to hooks exactly once."""
    stores = [make_store() for _ in range(5)]
    hooks = [Heard() for _ in stores]
    for store, hook in zip(stores, hooks, strict=True):
        store.add_hook(hook)
    ids = {(await talk_and_go(stores[0], stores[0].pseudonym(each))).session.id for each in PEOPLE}
    early = await asyncio.gather(*(Sweeper(store).sweep() for store in stores))
    await pass_time(raw, WINDOW_S + 1)

    reports = await asyncio.gather(*(Sweeper(store).sweep() for store in stores))

    once = Counter(dict.fromkeys(ids, 1))
    assert sum(report.ended for report in early) == 0
    assert sum(report.ended for report in reports) == len(PEOPLE)
    assert of_type(await published(), EventType.SESSION_ENDED) == once
    told = [event for hook in hooks for event in hook.events]
    assert of_type(told, EventType.SESSION_ENDED) == once
    for each in PEOPLE:
        assert await state(stores[0], stores[0].pseudonym(each)) is SessionState.ENDED


async def test_nothing_is_left_after_retention(
    make_store: Callable[..., SessionStore], raw: Any, published: Any
) -> None:
    """Retention over, five sweepers erase sessions, participants, deadlines and lists: once."""
    stores = [make_store() for _ in range(5)]
    ids = {(await talk_and_go(stores[0], stores[0].pseudonym(each))).session.id for each in PEOPLE}
    await pass_time(raw, WINDOW_S + 1)
    await asyncio.gather(*(Sweeper(store).sweep() for store in stores))
    await pass_time(raw, RETENTION_S)

    reports = await asyncio.gather(*(Sweeper(store).sweep() for store in stores))

    assert sum(report.erased for report in reports) == len(PEOPLE)
    assert of_type(await published(), EventType.ERASED) == Counter(dict.fromkeys(ids, 1))
    assert await left_in(raw) == []
    assert await Sweeper(stores[0]).sweep() == SweepReport()


async def test_an_unswept_session_goes_all_the_way(store: SessionStore, raw: Any) -> None:
    """After a long time without any sweeper, one sweep ends what is due, and the next erases it."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    await pass_time(raw, RETENTION_S + 60)

    first, second = await Sweeper(store).sweep(), await Sweeper(store).sweep()

    assert (first.ended, first.erased + second.erased) == (1, 1)
    assert await left_in(raw) == []


async def test_a_participant_stays_while_one_session_does(store: SessionStore, raw: Any) -> None:
    """The data key goes with the last session, not with the first."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    await pass_time(raw, RETENTION_S - 60)
    newer = await talk_and_go(store, who)
    await Sweeper(store).sweep()
    await pass_time(raw, 120)

    await Sweeper(store).sweep()

    assert [each.id for each in (await store.sessions(who)).sessions] == [newer.session.id]
    loaded = await store.load(who, newer.session.id)
    assert loaded is not None
    assert len(loaded.turns) == 3


async def test_a_session_whose_lease_is_renewed_goes_on(store: SessionStore, raw: Any) -> None:
    """However long a conversation is, a session whose job renews its lease is not ended."""
    who = store.pseudonym("maria")
    joined = await talk(store, who)
    for _ in range(5):
        await pass_time(raw, WINDOW_S)
        await store.renew(joined.lease.ref)
        assert (await Sweeper(store).sweep()).changed == 0
    assert await state(store, who) is SessionState.LIVE


async def test_a_lease_that_ran_out_may_still_be_renewed(store: SessionStore, raw: Any) -> None:
    """An expired lease is told of, but its session waits for its window, and its holder."""
    who = store.pseudonym("maria")
    joined = await talk(store, who)
    await pass_time(raw, 60)
    assert (await Sweeper(store).sweep()).orphaned == 1

    await store.renew(joined.lease.ref)

    assert await Sweeper(store).sweep() == SweepReport()
    assert await state(store, who) is SessionState.LIVE


async def test_an_orphan_is_told_of_until_somebody_acts(
    make_store: Callable[..., SessionStore], raw: Any, published: Any
) -> None:
    """After each length of a lease, in silence; one of five who hear of it may act, or it ends."""
    stores = [make_store() for _ in range(5)]
    who = stores[0].pseudonym("maria")
    joined = await talk(stores[0], who)
    orphan = SessionRef(who, joined.session.id)
    orphans: list[SessionRef] = []
    sweepers = [Sweeper(store, on_orphan=orphans.append) for store in stores]
    for _ in range(3):
        await pass_time(raw, 4)
        orphans.clear()
        reports = await asyncio.gather(*(each.sweep() for each in sweepers))
        assert set(orphans) == {orphan}
        assert sum(report.orphaned for report in reports) == len(orphans)
        assert sum(report.changed for report in reports) == 0
    assert of_type(await published(), EventType.LEASE_LOST) == {}

    claims = await asyncio.gather(*(store.claim_orphan(*orphan) for store in stores))
    assert sorted(claims) == ["EXPECTED"] * 4 + ["WANTED"]
    orphans.clear()
    await asyncio.gather(*(each.sweep() for each in sweepers))
    assert orphans == []
    await pass_time(raw, 11)
    assert (await sweepers[0].sweep()).orphaned == 1
    assert orphans == [orphan]

    await pass_time(raw, 2 * WINDOW_S)
    ended = await asyncio.gather(*(each.sweep() for each in sweepers))
    assert sum(report.ended for report in ended) == 1
    events = await published()
    assert of_type(events, EventType.LEASE_LOST) == {joined.session.id: 1}
    assert of_type(events, EventType.SESSION_ENDED) == {joined.session.id: 1}


async def test_who_is_late_is_told_of_before_it_is_missed(
    make_store: Callable[..., SessionStore], raw: Any
) -> None:
    """Each look goes to a listener; nothing has changed by either."""
    store = make_store(lease_s=400, lease_renew_s=100)
    joined = await talk(store, store.pseudonym("maria"))
    session = SessionRef(joined.lease.participant, joined.session.id)
    heard: list[tuple[str, SessionRef]] = []
    one = Sweeper(
        store,
        on_orphan=lambda each: heard.append(("orphan", each)),
        on_late=lambda each: heard.append(("late", each)),
    )
    for _ in range(5):
        await pass_time(raw, 110)
        assert await one.sweep() in (SweepReport(), SweepReport(orphaned=1))
    assert heard == [("late", session), ("orphan", session)]


async def test_only_the_clock_of_redis_counts(
    store: SessionStore, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweeper on a machine whose clock is wrong ends nothing early, and everything in time."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    monkeypatch.setattr("time.time", lambda: 4e9)
    monkeypatch.setattr("time.time_ns", lambda: 4 * 10**18)
    assert (await Sweeper(store).sweep()).changed == 0
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    await pass_time(raw, WINDOW_S + 1)
    assert (await Sweeper(store).sweep()).ended == 1


async def test_many_deadlines_in_one_shard_are_all_met(
    store: SessionStore, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard with more deadlines than are read at a time is read until none is due."""
    monkeypatch.setattr(sweeper, "MAX_PER_SHARD", 2)
    monkeypatch.setattr(sweeper, "MAX_AT_ONCE", 3)
    who = store.pseudonym("maria")
    for _ in range(7):
        await store.open_new(who)
    await pass_time(raw, WINDOW_S + 1)
    assert (await Sweeper(store).sweep()).ended == 7


async def test_one_bad_session_does_not_stop_the_others(
    store: SessionStore, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A session that Redis refuses to look at is complained about once; the others end."""
    first, second = store.pseudonym("maria"), store.pseudonym("tom")
    broken = await talk_and_go(store, first)
    await talk_and_go(store, second)
    key = KeySpace().participant(first).session(broken.session.id)
    await pass_time(raw, WINDOW_S + 1)
    await raw.delete(key)
    await raw.set(key, "not a hash")
    await raw.zadd(KeySpace().participant(first).due, {"nonsense": 1})
    one = Sweeper(store)

    with caplog.at_level(logging.WARNING, sweeper.__name__):
        assert await one.sweep() == SweepReport(ended=1, failed=2)
        assert await one.sweep() == SweepReport(failed=2)

    assert await state(store, second) is SessionState.ENDED
    assert said(caplog) == ["a session cannot be swept"] * 2
    assert "maria" not in caplog.text


async def test_a_running_sweeper_needs_no_help(store: SessionStore, raw: Any) -> None:
    """Started once, a sweeper ends what becomes due, and stops when it is told to."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    running = Sweeper(store, every_s=0.02)
    running.start()
    running.start()
    await until(lambda: raw.exists(KeySpace().sweepers))
    await pass_time(raw, WINDOW_S + 1)

    async def has_ended() -> bool:
        return await state(store, who) is SessionState.ENDED

    await until(has_ended)
    await running.aclose()
    again = await talk_and_go(store, who)
    await pass_time(raw, WINDOW_S + 1)
    await asyncio.sleep(0.1)
    newest = (await store.sessions(who)).sessions[0]
    assert (newest.id, newest.state) == (again.session.id, SessionState.AWAY)


async def test_sweepers_need_no_names(store: SessionStore, raw: Any) -> None:
    """Two sweepers without a name are two in the registry."""
    both = [Sweeper(store, every_s=0.02) for _ in range(2)]
    for each in both:
        each.start()

    async def are_two() -> bool:
        return bool(await raw.zcard(KeySpace().sweepers) == 2)

    await until(are_two)
    for each in both:
        await each.aclose()


async def test_every_shared_key_of_sweeping_expires(store: SessionStore, raw: Any) -> None:
    """The registry of sweepers, like every key, has a lifetime."""
    await talk_and_go(store, store.pseudonym("maria"))
    running = Sweeper(store, every_s=0.02)
    running.start()
    await until(lambda: raw.exists(KeySpace().sweepers))
    await running.aclose()
    for key in await raw.keys():
        assert await raw.pttl(key) > 0


class Watched:
    """A sweeper, and which shards it looked at last."""

    def __init__(self, store: SessionStore, name: str) -> None:
        self.sweeper = Sweeper(store, me=name, every_s=0.05, all_every_s=NEVER_S)
        self.shards: Sequence[int] = ()
        sweep = self.sweeper.sweep

        async def noted(shards: Sequence[int] | None = None) -> SweepReport:
            self.shards = () if shards is None else shards
            return await sweep(shards)

        self.sweeper.sweep = noted  # type: ignore[method-assign]


def share_all(*sweepers: Watched) -> bool:
    """Return whether each shard is looked at by exactly one of them."""
    return sorted(shard for each in sweepers for shard in each.shards) == list(range(SHARDS))


async def test_the_others_take_the_shards_of_one_that_died(
    make_store: Callable[..., SessionStore],
) -> None:
    """Without a goodbye, a dead sweeper's shards are looked at by the others, no net needed."""
    stores = [make_store(resume_window_first_s=0.01) for _ in range(3)]
    sweepers = [Watched(store, name) for store, name in zip(stores, "abc", strict=True)]
    for each in sweepers:
        each.sweeper.start()
    await until(lambda: share_all(*sweepers))
    taken = sweepers[0].shards
    assert 0 < len(taken) < SHARDS

    await sweepers[0].sweeper._loop.aclose()
    await until(lambda: share_all(*sweepers[1:]))

    people = (stores[0].pseudonym(f"person {number}") for number in range(1000))
    theirs = [who for who in people if shard_of(who) in taken][:5]
    for who in theirs:
        await stores[0].open(who)

    async def all_ended() -> bool:
        return {await state(stores[0], who) for who in theirs} == {SessionState.ENDED}

    await until(all_ended)
    for each in sweepers:
        await each.sweeper.aclose()


async def soon(raw: Any) -> int:
    """Return a time that is ahead of Redis's clock, but no more than clocks may differ."""
    seconds, _ = await raw.time()
    return int(seconds) * 1000 + 8000


async def test_a_dead_job_is_found_although_the_clock_was_set_back(
    store: SessionStore, raw: Any
) -> None:
    """As soon as ever: its lease and its deadline are an hour ahead, and mean nothing."""
    joined = await talk(store, store.pseudonym("maria"))
    session = SessionRef(joined.lease.participant, joined.session.id)
    orphans: list[SessionRef] = []
    running = Sweeper(store, every_s=0.02, all_every_s=NEVER_S, on_orphan=orphans.append)
    running.start()
    await until(lambda: raw.exists(KeySpace().sweepers))

    await pass_time(raw, -3600)

    async def is_found() -> bool:
        return orphans != []

    await until(is_found)
    await running.aclose()
    assert set(orphans) == {session}
    assert await store.claim_orphan(*session) is AgentPresence.WANTED


async def test_a_wrong_registry_is_no_harm(store: SessionStore, raw: Any) -> None:
    """Where the registry names one that does nothing, the look at all shards finds what is due."""
    who = store.pseudonym("maria")
    await talk_and_go(store, who)
    name = next(
        name for name in map(str, range(100)) if shard_of(who) not in Shares("me").of([name])
    )
    running = Sweeper(store, me="me", every_s=0.02, all_every_s=0.1)
    running.start()
    await until(lambda: raw.exists(KeySpace().sweepers))
    await raw.zadd(KeySpace().sweepers, {name: await soon(raw)})
    await until(lambda: name in running._shares._alive)
    assert shard_of(who) not in running._shares.of([name])
    await raw.persist(KeySpace().sweepers)
    await pass_time(raw, WINDOW_S + 1)
    await raw.zadd(KeySpace().sweepers, {name: await soon(raw)})

    async def has_ended() -> bool:
        return await state(store, who) is SessionState.ENDED

    await until(has_ended)
    await running.aclose()


async def test_while_redis_is_away_a_sweeper_waits(
    make_store: Callable[..., SessionStore], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, and goes on by itself when Redis is back."""
    with standalone(tmp_path / "redis") as server:
        store = make_store(
            redis_url=f"redis://{server.name}/0", redis_retry_s=0.05, resume_window_first_s=0.01
        )
        who = store.pseudonym("maria")
        running = Sweeper(store, every_s=0.02)
        with caplog.at_level(logging.INFO, sweeper.__name__):
            running.start()
            await store.ping()
            server.kill()
            with pytest.raises(StoreUnavailable):
                await running.sweep()
            await until(lambda: said(caplog))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.revive)
            await until(lambda: len(said(caplog)) > 1)

        assert said(caplog) == ["the sweeper waits for the store", "the sweeper goes on"]
        await store.open(who)

        async def has_ended() -> bool:
            return await state(store, who) is SessionState.ENDED

        await until(has_ended)
        await running.aclose()
        await store.aclose()


async def test_a_defect_does_not_end_the_sweeper(
    store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged, and the next round comes all the same."""
    running = Sweeper(store, every_s=0.01)
    sweep = running.sweep
    rounds = 0

    async def defective(shards: Sequence[int] | None = None) -> SweepReport:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ZeroDivisionError
        return await sweep(shards)

    running.sweep = defective  # type: ignore[method-assign]
    running.start()
    await until(lambda: rounds > 2)
    await running.aclose()
    assert "a sweep failed" in caplog.text


def test_sweepers_share_all_shards_evenly() -> None:
    """Each shard is one sweeper's; five sweepers have about a fifth each."""
    names = [f"sweeper-{number}" for number in range(5)]
    shares = {name: Shares(name).of(names) for name in names}
    assert sorted(shard for share in shares.values() for shard in share) == list(range(SHARDS))
    assert all(SHARDS / 5 * 0.7 < len(share) < SHARDS / 5 * 1.3 for share in shares.values())


def test_only_the_shards_of_who_goes_change_hands() -> None:
    """When one of five goes, the four others keep what they had, and share its part."""
    names = [f"sweeper-{number}" for number in range(5)]
    for name in names[1:]:
        share = Shares(name)
        before, after = set(share.of(names)), set(share.of(names[1:]))
        assert before < after
        assert set(share.of(names)) == before


def test_a_sweeper_that_nobody_names_counts_itself() -> None:
    """Alone, or while the registry has not heard of it yet, a sweeper has shards."""
    assert list(Shares("me").of([])) == list(range(SHARDS))
    assert 0 < len(Shares("me").of(["other"])) < SHARDS
