"""What lies outside of any participant's keys: events, counts by day, the audit stream."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from session_store import LeaseHeld, LeaseLost
from session_store.backends.values import OpenMode
from tests.contract.people import (
    MARIA,
    candidate,
    join,
    listening,
    nonce,
    open_session,
    sealed_turns,
)

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from session_store.events import Event
    from tests.contract.worlds import World

TODAY = date(2026, 3, 1)


async def test_what_operations_answer_is_what_is_published(backend: Backend, world: World) -> None:
    """Every event of an answer is heard, once, in order, and no other."""
    told: list[Event] = []
    async with listening(world.another()) as heard:
        found, _ = await open_session(backend)
        told += found.events
        job = await join(backend, load="a")
        told += job.found.events
        await job.append(*sealed_turns(2))
        told += (await backend.arrive(job.lease, nonce(), "b")).events
        told += (await backend.leave(job.lease)).events
        told += (await backend.leave(job.lease)).events
        await backend.release(job.lease)
        second = await join(backend)
        told += second.found.events
        await backend.release(second.lease)
        third = await join(backend)
        told += third.found.events
        await world.pass_time(10)
        told += (await backend.settle(MARIA, job.id)).events
        told += (await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key=nonce()))[1]
        told += (await join(backend)).found.events
        told += await backend.close(MARIA, job.id)
        told += (await open_session(backend))[0].events
        told += await backend.delete(MARIA, job.id)
        told += (await backend.erase(MARIA, "k-1", [])).events
    assert [str(event.type) for event in told] == [
        "session_created",
        "session_resumed",
        "participant_left",
        "session_resumed",
        "handoff",
        "lease_lost",
        "takeover",
        "session_ended",
        "session_created",
        "erased",
        "erased",
    ]
    assert heard == told
    assert {event.participant for event in heard} == {MARIA}


async def test_nothing_is_published_by_what_is_refused(backend: Backend, world: World) -> None:
    """Nor by what was there already."""
    job = await join(backend, load="a", owner="1" * 32)
    await backend.arrive(job.lease, "one", "b")
    async with listening(world.another()) as heard:
        with pytest.raises(LeaseHeld):
            await join(backend)
        await join(backend, load="a", owner="1" * 32)
        await backend.arrive(job.lease, "one", "b")
        await open_session(backend)
        await backend.close(MARIA, candidate().session_id)
        await world.pass_time(4)
        await backend.settle(MARIA, job.id)
        await backend.renew(job.lease)
    assert heard == []


async def test_turns_are_published_where_that_is_switched_on(world: World) -> None:
    """The newest number and how many there were; a repeated append tells nothing."""
    quiet, loud = world.another(), world.another(publish_turns=True)
    job = await join(quiet)
    turns = sealed_turns(6)
    async with listening(world.another()) as heard:
        await job.append(*turns[:2])
        job.backend = loud
        await job.append(*turns[2:5])
        await loud.append(job.lease, 1, b"", turns[:5])
        await loud.append(job.lease, 1, b"", turns)
        with pytest.raises(LeaseLost):
            await loud.append(
                job.lease.__class__(MARIA, job.id, nonce(), "0", job.lease.data_key_id),
                7,
                b"",
                turns,
            )
    assert [(str(each.type), each.session_id, each.seq, each.turns) for each in heard] == [
        ("turn_appended", job.id, 5, 3),
        ("turn_appended", job.id, 6, 1),
    ]
    assert heard[0].participant == MARIA
    assert heard[0].at > 0


async def test_many_listeners_hear_the_same(world: World) -> None:
    """In one process or several; each from when it began."""
    backends = [world.another() for _ in range(3)]
    async with listening(backends[0]) as first:
        await open_session(world.backend)
        async with listening(backends[1]) as second, listening(backends[1]) as third:
            await open_session(world.backend, mode=OpenMode.NEW)
    assert len([each for each in first if each.participant == MARIA]) == 2
    assert [each for each in second if each.participant == MARIA] == [first[1]]
    assert [each for each in third if each.participant == MARIA] == [first[1]]


async def test_a_listener_that_stopped_hears_no_more(backend: Backend) -> None:
    """Closing the iterator ends it, also while it waits."""
    listener = backend.side.listen()
    assert await anext(listener) is None
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await listener.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(listener)
    await open_session(backend)


async def test_counts_of_a_day_add_up(world: World) -> None:
    """From several processes; days without any have none."""
    one, two = world.another().side, world.another().side
    await one.count(TODAY, [MARIA], {"connects": 1, "turns": 10})
    await two.count(TODAY, [], {"connects": 2})
    await one.count(TODAY, [], {})
    assert await two.counted(TODAY) == {"connects": 3, "turns": 10}
    assert await one.counted(TODAY + timedelta(days=1)) == {}


async def test_people_are_counted_once_over_days(backend: Backend) -> None:
    """A participant who came on several of them is one."""
    tomorrow, later = TODAY + timedelta(days=1), TODAY + timedelta(days=40)
    await backend.side.count(TODAY, ["a", "b", "c"], {})
    await backend.side.count(TODAY, ["a"], {})
    await backend.side.count(tomorrow, ["b", "d"], {})
    assert await backend.side.people([TODAY]) == 3
    assert await backend.side.people([TODAY, tomorrow]) == 4
    assert await backend.side.people([TODAY, tomorrow, later]) == 4
    assert await backend.side.people([later]) == 0
    assert await backend.side.people([]) == 0


async def test_the_audit_stream_keeps_order(world: World) -> None:
    """Each entry has an id behind the ones before, and is read from there."""
    one, two = world.another().side, world.another().side
    ids = [await one.audit({"n": str(n), "word": "é \r\n"}) for n in range(3)]
    ids += [await two.audit({"n": "3"})]
    entries = await one.audited("0", 10)
    assert [entry.id for entry in entries] == ids
    assert [entry.fields["n"] for entry in entries] == ["0", "1", "2", "3"]
    assert entries[0].fields == {"n": "0", "word": "é \r\n"}
    assert [entry.id for entry in await two.audited("0", 2)] == ids[:2]
    assert [entry.id for entry in await two.audited(ids[1], 10)] == ids[2:]
    assert await two.audited(ids[3], 10) == []


async def test_side_notes_expire_too(backend: Backend, world: World) -> None:
    """Counts and audit entries live for 400 days after their last write."""
    await backend.side.count(TODAY, [MARIA], {"connects": 1})
    await backend.side.audit({"n": "1"})
    await world.pass_time(399 * 24 * 3600)
    assert await backend.side.people([TODAY]) == 1
    await backend.side.audit({"n": "2"})
    await world.pass_time(2 * 24 * 3600)
    assert (await backend.side.people([TODAY]), await backend.side.counted(TODAY)) == (0, {})
    assert len(await backend.side.audited("0", 10)) == 2
    await world.pass_time(399 * 24 * 3600)
    assert await backend.side.audited("0", 10) == []


async def test_a_room_belongs_to_the_first_job_that_marks_it(world: World) -> None:
    """Each caller hears whose it is; another room is another mark."""
    one, two = world.another().side, world.another().side
    assert await one.mark_room("mac", "first", 60_000) == "first"
    assert await two.mark_room("mac", "second", 60_000) == "first"
    assert await one.mark_room("mac", "first", 60_000) == "first"
    assert await two.mark_room("another", "second", 60_000) == "second"


async def test_the_mark_of_a_room_expires(backend: Backend, world: World) -> None:
    """It lives on from the last time that a job asked."""
    await backend.side.mark_room("mac", "first", 60_000)
    await world.pass_time(50)
    assert await backend.side.mark_room("mac", "second", 60_000) == "first"
    await world.pass_time(50)
    assert await backend.side.mark_room("mac", "second", 60_000) == "first"
    await world.pass_time(61)
    assert await backend.side.mark_room("mac", "second", 60_000) == "second"
