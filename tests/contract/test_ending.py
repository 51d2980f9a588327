"""How sessions end: by time, on purpose, or erased; each end is told once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from session_store import LeaseLost, SessionGone, SessionStoreError
from session_store.backends.values import OpenMode, SealedDraft, SettleAnswer, SettleOutcome
from session_store.keys import shard_of
from tests.contract.people import (
    JOE,
    MARIA,
    candidate,
    is_due,
    join,
    kinds,
    listening,
    nonce,
    nothing_changes,
    open_session,
    sealed,
    sealed_turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from session_store.backends.contract import Backend
    from tests.contract.people import Job
    from tests.contract.worlds import World

DAY_MS = 24 * 3_600_000


async def settle_in_many_processes(world: World, session_id: str) -> list[SettleAnswer]:
    """Let ten sweepers look at a session at once."""
    backends = [world.another() for _ in range(10)]
    return list(await asyncio.gather(*(each.settle(MARIA, session_id) for each in backends)))


async def test_nothing_is_due_yet(backend: Backend, world: World) -> None:
    """Looked at too early, a session stays as it is, and is looked at again at its deadline."""
    opened, _ = await open_session(backend)
    waiting = await backend.settle(MARIA, opened.session.id)
    job = await join(backend)
    held = await backend.settle(MARIA, job.id)
    left = await backend.leave(job.lease)
    away = await backend.settle(MARIA, job.id)
    await backend.release(job.lease)
    free = await backend.settle(MARIA, job.id)
    assert {each.outcome for each in (waiting, held, away, free)} == {SettleOutcome.LATER}
    assert [each.events for each in (waiting, held, away, free)] == [()] * 4
    assert waiting.deadline == opened.session.window_until + 1
    assert held.deadline == job.session.lease_until - 750
    assert away.deadline == free.deadline == left.window_until + 1
    assert not await is_due(backend, MARIA, job.id)
    await world.pass_time(301)
    assert await is_due(backend, MARIA, job.id)


async def test_a_session_past_its_window_ends_once(backend: Backend, world: World) -> None:
    """Of ten sweepers one ends it and tells so; it is looked at again at its retention."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    await job.away()
    await world.pass_time(301)
    assert await is_due(backend, MARIA, job.id)
    async with listening(backend) as heard:
        settled = await settle_in_many_processes(world, job.id)
    assert sorted(each.outcome for each in settled) == ["ENDED"] + ["LATER"] * 9
    assert [kinds(each.events) for each in settled if each.events] == [["session_ended"]]
    assert [(str(event.type), event.session_id) for event in heard] == [("session_ended", job.id)]
    stored = await job.load()
    assert (stored.state, list(stored.turns)) == ("ended", [sealed("turn 1")])
    assert stored.ended_at <= stored.now
    assert {each.deadline for each in settled} == {stored.last_seen + DAY_MS}
    assert not await is_due(backend, MARIA, job.id)


async def test_a_session_that_nobody_joined_ends_too(backend: Backend, world: World) -> None:
    """A participant who opened a page and went is not waited for."""
    opened, _ = await open_session(backend)
    await world.pass_time(301)
    settled = await backend.settle(MARIA, opened.session.id)
    assert (settled.outcome, kinds(settled.events)) == (SettleOutcome.ENDED, ["session_ended"])
    assert settled.events[0].visit_ms == 0


async def test_a_renewed_lease_is_no_end(backend: Backend, world: World) -> None:
    """However long a conversation takes, while its lease is renewed it goes on."""
    job = await join(backend)
    for _ in range(5):
        await world.pass_time(1000)
        await backend.renew(job.lease)
        assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    await job.append(sealed("turn 1"))


async def test_a_session_that_lacks_its_agent_is_told_until_somebody_acts(
    backend: Backend, world: World
) -> None:
    """After a lease ran out each caller is told, and then again only after each of its lengths."""
    job = await join(backend)
    async with listening(backend) as heard:
        for _ in range(3):
            await world.pass_time(4)
            assert await is_due(backend, MARIA, job.id)
            settled = await settle_in_many_processes(world, job.id)
            assert [each.outcome for each in settled] == ["ORPHANED"] * 10
            assert not await is_due(backend, MARIA, job.id)
    assert heard == []
    await backend.renew(job.lease)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_a_holder_that_is_late_is_told_of_before_its_lease_ends(world: World) -> None:
    """In the last quarter of its lease; one that renews it as it should is never late."""
    backend = world.another(lease_s=400, lease_renew_s=100)
    job = await join(backend)
    for _ in range(3):
        await world.pass_time(250)
        assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
        await backend.renew(job.lease)
    await world.pass_time(310)
    assert await is_due(backend, MARIA, job.id)
    async with listening(backend) as heard:
        late = await backend.settle(MARIA, job.id)
    assert (late.outcome, heard) == (SettleOutcome.LATE, [])
    assert late.deadline == (await job.load()).lease_until
    assert not await is_due(backend, MARIA, job.id)
    await world.pass_time(91)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ORPHANED


async def test_a_look_at_an_orphan_changes_nothing_else(backend: Backend, world: World) -> None:
    """Its holder may only have stalled, so a look costs it nothing."""
    job = await join(backend)
    await world.pass_time(10)
    before = await job.load()
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ORPHANED
    after = await job.load()
    assert replace(after, now=before.now) == before
    await job.append(sealed("turn 1"))


async def test_whose_lease_was_given_back_is_looked_at_now(backend: Backend) -> None:
    """A participant in the room waits; one who is away does not."""
    job = await join(backend)
    await backend.settle(MARIA, job.id)
    await backend.release(job.lease)
    assert await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.OVERDUE
    job = await join(backend)
    await backend.settle(MARIA, job.id)
    await job.away()
    assert not await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_nobody_misses_a_job_whose_participant_is_away(
    backend: Backend, world: World
) -> None:
    """Its lease may run out: no participant is there."""
    job = await join(backend)
    await backend.leave(job.lease)
    await world.pass_time(100)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_a_job_that_dies_after_a_return_is_missed_in_time(
    backend: Backend, world: World
) -> None:
    """Looked at while the participant was away, the session is looked at again after its return."""
    job = await join(backend)
    await backend.leave(job.lease)
    await backend.settle(MARIA, job.id)
    await world.pass_time(10)
    await backend.renew(job.lease)
    await backend.arrive(job.lease, nonce(), "")
    await world.pass_time(10)
    assert await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ORPHANED


async def test_a_claim_that_is_given_back_does_not_delay_the_end(world: World) -> None:
    """The session waits for an agent no longer than one is announced."""
    backend = world.another(resume_window_first_s=5, agent_expected_s=60)
    found, _ = await open_session(backend, expect_agent=True)
    await world.pass_time(10)
    assert (await backend.settle(MARIA, found.session.id)).outcome is SettleOutcome.LATER
    await backend.give_back_claim(MARIA, found.session.id)
    assert await is_due(backend, MARIA, found.session.id)
    assert (await backend.settle(MARIA, found.session.id)).outcome is SettleOutcome.ENDED


async def test_an_ended_session_is_erased_at_its_retention(backend: Backend, world: World) -> None:
    """Until then it is listed; then one of ten sweepers erases it, and with it its participant."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    await job.away()
    await world.pass_time(301)
    await backend.settle(MARIA, job.id)
    await world.pass_time(23 * 3600)
    assert not await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 1
    await world.pass_time(3600)
    assert await is_due(backend, MARIA, job.id)
    async with listening(backend) as heard:
        settled = await settle_in_many_processes(world, job.id)
    assert sorted(each.outcome for each in settled) == ["ERASED"] + ["GONE"] * 9
    assert {each.deadline for each in settled} == {0}
    assert [(str(event.type), event.session_id) for event in heard] == [("erased", job.id)]
    assert await backend.load(MARIA, job.id, last=None) is None
    assert await backend.participant(MARIA) is None
    assert await world.due(MARIA) == {}


async def test_the_participant_stays_with_the_other_sessions(
    backend: Backend, world: World
) -> None:
    """A session's retention is over while another one goes on."""
    old = await join(backend)
    await old.away()
    await world.pass_time(23 * 3600)
    newer, _ = await open_session(backend, mode=OpenMode.NEW)
    await backend.settle(MARIA, old.id)
    await world.pass_time(3600)
    assert (await backend.settle(MARIA, old.id)).outcome is SettleOutcome.ERASED
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert participant.wrapped == newer.session.wrapped
    page = await backend.sessions(MARIA, offset=0, limit=9)
    assert [each.id for each in page.sessions] == [newer.session.id]


async def test_a_session_that_is_gone_is_forgotten(backend: Backend, world: World) -> None:
    """Settling what is not there makes nothing appear."""
    job = await join(backend)
    async with nothing_changes(world):
        for participant, session_id in ((MARIA, candidate().session_id), (JOE, job.id)):
            settled = await backend.settle(participant, session_id)
            assert settled == SettleAnswer(SettleOutcome.GONE, 0, ())


async def test_visits_are_counted_once(backend: Backend, world: World) -> None:
    """The time of each visit is told at its end, and summed up: a leave, a reload, an end."""
    job = await join(backend, load="a")
    await world.pass_time(100)
    left = await backend.leave(job.lease)
    await world.pass_time(50)
    await backend.arrive(job.lease, nonce(), "a")
    await world.pass_time(40)
    await backend.renew(job.lease)
    reloaded = await backend.arrive(job.lease, nonce(), "b")
    await world.pass_time(30)
    await backend.renew(job.lease)
    await world.pass_time(700)
    ended = await backend.settle(MARIA, job.id)
    visits = [events[0].visit_ms for events in (left.events, reloaded.events, ended.events)]
    for visit_ms, seconds in zip(visits, (100, 40, 30), strict=True):
        assert 0 <= visit_ms - seconds * 1000 < 10_000
    assert (await job.load()).talk_ms == sum(visits)


async def test_a_takeover_goes_on_with_the_visit(backend: Backend, world: World) -> None:
    """The participant never went, so the visit began before the job did."""
    job = await join(backend, load="a")
    await world.pass_time(20)
    await backend.renew(job.lease)
    await world.pass_time(10)
    second = await join(backend, load="a")
    await world.pass_time(20)
    left = await backend.leave(second.lease)
    assert 0 <= left.events[0].visit_ms - 50_000 < 10_000


async def test_closing_ends_now(backend: Backend, world: World) -> None:
    """It is told once; the session stays listed, and its holder has lost it."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    events = await backend.close(MARIA, job.id)
    assert [(str(each.type), each.session_id) for each in events] == [("session_ended", job.id)]
    stored = await job.load()
    assert (stored.state, stored.owner, stored.ended_at) == ("ended", "", events[0].at)
    assert int(stored.fence) > int(job.lease.fence)
    with pytest.raises(LeaseLost):
        await backend.renew(job.lease)
    async with nothing_changes(world):
        assert await backend.close(MARIA, job.id) == ()
        assert await backend.close(MARIA, candidate().session_id) == ()
        assert await backend.close(JOE, job.id) == ()
    after, _ = await open_session(backend)
    assert after.created
    assert kinds(after.events) == ["session_created"]


async def test_a_job_ends_its_session_only_if_no_other_has_taken_it(
    backend: Backend, world: World
) -> None:
    """What it left behind may be read long after its death."""
    first = await join(backend)
    await world.pass_time(61)
    second = await join(backend)
    async with nothing_changes(world):
        assert await backend.close(MARIA, first.id, fence=first.lease.fence) == ()
    events = await backend.close(MARIA, second.id, fence=second.lease.fence)
    assert kinds(events) == ["session_ended"]
    async with nothing_changes(world):
        assert await backend.close(MARIA, second.id, fence=second.lease.fence) == ()


async def test_a_closed_session_is_erased_at_its_retention(backend: Backend, world: World) -> None:
    """It counts from when the participant was last seen."""
    job = await join(backend)
    await world.pass_time(200)
    await backend.close(MARIA, job.id)
    stored = await job.load()
    settled = await backend.settle(MARIA, job.id)
    assert (settled.outcome, settled.deadline) == (
        SettleOutcome.LATER,
        stored.last_seen + DAY_MS,
    )


async def test_deleting_erases_one_session(backend: Backend, world: World) -> None:
    """Record, turns, place in the list and deadline go; other sessions stay."""
    job = await join(backend)
    await job.append(*sealed_turns(3))
    other, _ = await open_session(backend, mode=OpenMode.NEW)
    events = await backend.delete(MARIA, job.id)
    assert [(str(each.type), each.session_id) for each in events] == [("erased", job.id)]
    assert await backend.load(MARIA, job.id, last=None) is None
    assert list(await world.due(MARIA)) == [other.session.id]
    page = await backend.sessions(MARIA, offset=0, limit=9)
    assert [each.id for each in page.sessions] == [other.session.id]
    assert not any(job.id in name for name in await world.lifetimes())
    async with nothing_changes(world):
        assert await backend.delete(MARIA, job.id) == ()
        assert await backend.delete(JOE, other.session.id) == ()


async def test_the_participant_goes_with_the_last_session(backend: Backend, world: World) -> None:
    """Deleting it leaves no participant behind: the next sweeper sees to that."""
    job = await join(backend)
    await backend.delete(MARIA, job.id)
    assert await is_due(backend, MARIA, "")
    assert (await backend.settle(MARIA, "")).outcome is SettleOutcome.GONE
    assert await backend.participant(MARIA) is None
    assert await backend.wrapped_by("k-1", [shard_of(MARIA)]) == []
    assert await world.lifetimes() == {}


async def test_a_participant_without_sessions_may_return(backend: Backend, world: World) -> None:
    """Before the sweeper looked: then there is no participant to erase."""
    job = await join(backend)
    await backend.delete(MARIA, job.id)
    again = await join(backend)
    await backend.settle(MARIA, "")
    assert (await again.load()).wrapped == job.session.wrapped
    await backend.delete(MARIA, again.id)
    await backend.erase(MARIA, "k-1", [])
    assert await world.due(MARIA) == {}


async def test_erasing_leaves_nothing_of_a_participant(backend: Backend, world: World) -> None:
    """All sessions, the data key, deadlines, and the entry among those that a key wraps."""
    theirs = await join(backend, JOE)
    await theirs.append(sealed("turn 1"))
    before = await world.dump()
    jobs = []
    for _ in range(3):
        opened, _ = await open_session(backend, mode=OpenMode.NEW)
        job = await join(backend, wanted=opened.session.id)
        await job.append(*sealed_turns(3))
        jobs.append(job)
    await backend.set_consent(MARIA, given=True, version="1")

    erased = await backend.erase(MARIA, "k-1", [])

    assert (erased.sessions, erased.left_over) == (3, 0)
    assert [(str(each.type), each.session_id) for each in erased.events] == [("erased", "")]
    assert not any(MARIA in name for name in await world.lifetimes())
    assert await world.due(MARIA) == {}
    assert await backend.participant(MARIA) is None
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 0
    assert await world.dump() == before
    async with nothing_changes(world):
        again = await backend.erase(MARIA, "k-1", [jobs[0].id])
        assert (again.sessions, again.left_over, again.events) == (0, 0, ())


async def test_an_erasure_leaves_when_it_was(world: World) -> None:
    """Of an unknown participant too, by the store's clock, and for longer than any retention."""
    backend = world.another(retention_s=7 * 24 * 3600)
    assert await backend.erased_at(MARIA) is None
    job = await join(backend)
    await backend.delete(MARIA, job.id)
    assert await backend.erased_at(MARIA) is None
    job = await join(backend)
    erased = await backend.erase(MARIA, "k-1", [])
    first = await backend.erased_at(MARIA)
    assert erased.events[0].at == first
    assert await backend.erased_at(JOE) is None
    await backend.erase(JOE, "k-1", [])
    assert await backend.erased_at(JOE) is not None
    again = await join(backend)
    assert again.session.now >= (first or 0)
    assert await backend.erased_at(MARIA) == first
    await world.pass_time(7 * 24 * 3600)
    await backend.erase(MARIA, "k-1", [])
    assert (await backend.erased_at(MARIA) or 0) > (first or 0)
    assert await backend.erased_at(JOE) is not None
    await world.pass_time(3 * 3600)
    assert await backend.erased_at(JOE) is None
    assert await backend.erased_at(MARIA) is not None


@pytest.mark.parametrize("kek_id", ["k-1", "k-2", ""])
@pytest.mark.parametrize("knows", [0, 1, 3])
async def test_wrong_guesses_erase_as_well(world: World, kek_id: str, knows: int) -> None:
    """Which key wraps the data key, and which sessions there are, is looked up where unknown."""
    backend = world.another()
    ids = [(await open_session(backend, mode=OpenMode.NEW))[0].session.id for _ in range(3)]
    strangers = [candidate().session_id]
    erased = await backend.erase(MARIA, kek_id, [*ids[:knows], *strangers])
    assert (erased.sessions, erased.left_over) == (3, 0)
    assert await world.lifetimes() == {}


AFTERWARDS: dict[str, Callable[[Backend, Job], Coroutine[object, object, object]]] = {
    "append_late": lambda backend, job: backend.append_late(job.lease, job.late(sealed("late"))),
    "load": lambda backend, job: backend.load(MARIA, job.id, last=None),
    "sessions": lambda backend, job: backend.sessions(MARIA, offset=0, limit=9, known=[job.id]),
    "close": lambda backend, job: backend.close(MARIA, job.id),
    "delete": lambda backend, job: backend.delete(MARIA, job.id),
    "expect_agent": lambda backend, job: backend.expect_agent(MARIA, job.id, claim=True),
    "give_back_claim": lambda backend, job: backend.give_back_claim(MARIA, job.id, absent=True),
    "claim_orphan": lambda backend, job: backend.claim_orphan(
        MARIA, job.id, owner=job.lease.owner, idempotency_key=nonce()
    ),
    "draft": lambda backend, job: backend.draft(job.lease, SealedDraft("user", 1, sealed("draft"))),
    "settle": lambda backend, job: backend.settle(MARIA, job.id),
    "set_consent": lambda backend, _: backend.set_consent(MARIA, given=True, version="1"),
    "set_retention": lambda backend, _: backend.set_retention(MARIA, 1000),
    "participant": lambda backend, _: backend.participant(MARIA),
    "rewrap": lambda backend, job: backend.rewrap(
        MARIA, job.session.wrapped, job.session.wrapped._replace(kek_id="k-2")
    ),
    "forget_wrapped": lambda backend, _: backend.forget_wrapped(MARIA, "k-1"),
    "edit": lambda backend, job: backend.edit(
        MARIA, job.id, job.lease.data_key_id, 0, b"content", witness_seq=0
    ),
    "switch": lambda backend, job: open_session(backend, wanted=job.id, mode=OpenMode.SWITCH),
    "join exactly": lambda backend, job: join(backend, wanted=job.id, exact=True),
    "update": lambda backend, job: backend.update(job.lease, 0, b"content", witness_seq=0),
}


@pytest.mark.parametrize("name", AFTERWARDS)
async def test_nothing_appears_after_an_erasure(backend: Backend, world: World, name: str) -> None:
    """Calls that were still on their way find no participant, and leave nothing."""
    job = await join(backend)
    await backend.erase(MARIA, "k-1", [])
    async with nothing_changes(world):
        try:
            answer = await AFTERWARDS[name](backend, job)
        except SessionGone:
            answer = "gone"
    assert answer is not True
    assert await world.lifetimes() == {}


async def test_an_erasure_amid_many_writes_is_complete(world: World) -> None:
    """Eight processes write while a ninth erases: what it left is nothing."""
    jobs = []
    for _ in range(4):
        opened, _ = await open_session(world.backend, mode=OpenMode.NEW)
        jobs.append(await join(world.another(), wanted=opened.session.id))
    erased = asyncio.Event()

    async def write(job: Job) -> int:
        written = 0
        try:
            while True:
                await job.append(sealed(f"turn {written}"))
                await job.backend.renew(job.lease)
                await job.backend.update(job.lease, written, b"content", witness_seq=written)
                written += 1
                await asyncio.sleep(0)
        except SessionStoreError as error:
            assert isinstance(error, SessionGone)  # noqa: PT017 (the kind is the point)
            assert erased.is_set() or written > 0
        return written

    async def erase() -> None:
        await asyncio.sleep(0.02)
        answer = await world.backend.erase(MARIA, "k-1", [])
        erased.set()
        assert (answer.sessions, answer.left_over) == (4, 0)

    *written, _ = await asyncio.gather(*map(write, jobs), erase())
    assert all(written)
    assert await world.lifetimes() == {}


async def test_somebody_who_was_erased_may_begin_anew(backend: Backend) -> None:
    """With a new data key, and none of what was."""
    old = await join(backend)
    await backend.set_consent(MARIA, given=True, version="1")
    await backend.set_retention(MARIA, 1_000_000)
    await backend.erase(MARIA, "k-1", [])
    new = await join(backend)
    assert new.found.created
    assert new.session.wrapped.data_key_id != old.session.wrapped.data_key_id
    participant = await backend.participant(MARIA)
    assert participant is not None
    assert (participant.consent, participant.retention_ms) == (None, None)
