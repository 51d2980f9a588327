"""Finding a session, creating one, and taking its lease."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from session_store import LeaseHeld, SessionEnded, SessionGone, StoreRefused
from session_store.backends.values import AgentPresence, JoinOutcome, OpenMode
from tests.contract.people import (
    JOE,
    MARIA,
    candidate,
    join,
    kinds,
    nonce,
    nothing_changes,
    open_session,
    sealed,
)

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from tests.contract.worlds import World


async def test_the_first_open_creates(backend: Backend) -> None:
    """A new participant gets the candidate, as it was offered."""
    offered = candidate()
    found, agent = await open_session(backend, offered=offered)
    assert found.created
    assert (found.session.id, found.session.wrapped) == (offered.session_id, offered.wrapped)
    assert (found.session.state, found.session.seq, found.session.version) == ("new", 0, 0)
    assert (found.session.reconnect_count, found.session.joined_at) == (0, 0)
    assert found.session.content is None
    assert list(found.session.turns) == []
    assert found.session.window_until - found.session.last_seen == 300_000
    assert kinds(found.events) == ["session_created"]
    assert found.events[0].session_id == found.session.id
    assert agent is AgentPresence.ABSENT


async def test_a_second_open_finds_it(backend: Backend) -> None:
    """Within the window the same session goes on, whatever the caller believes current."""
    first, _ = await open_session(backend)
    for wanted in (None, first.session.id, "another000000000000000000a"):
        again, _ = await open_session(backend, wanted=wanted)
        assert (again.created, again.session.id) == (False, first.session.id)
        assert again.session.wrapped == first.session.wrapped
        assert again.events == ()


async def test_an_open_begins_the_window_anew(backend: Backend, world: World) -> None:
    """A waiting participant's window does not close, and never gets shorter."""
    first, _ = await open_session(backend)
    for _ in range(3):
        await world.pass_time(200)
        again, _ = await open_session(backend)
        assert again.session.id == first.session.id
        assert again.session.window_until == again.session.last_seen + 300_000


async def test_a_join_creates_too(backend: Backend) -> None:
    """Without a gateway, jobs open sessions by joining them."""
    job = await join(backend)
    assert job.found.created
    assert job.outcome is JoinOutcome.CREATED
    assert kinds(job.found.events) == ["session_created"]
    assert (job.session.state, job.session.reconnect_count) == ("live", 0)
    assert job.session.joined_at == job.session.last_seen == job.session.now
    assert job.session.lease_until == job.session.now + 3_000
    assert int(job.session.fence) >= job.session.now


async def test_the_first_join_of_an_opened_session_is_no_return(backend: Backend) -> None:
    """A participant whom the gateway admitted arrives with the first join."""
    opened, _ = await open_session(backend)
    job = await join(backend, load="a")
    assert job.id == opened.session.id
    assert (job.outcome, job.found.created, job.found.events) == (JoinOutcome.CREATED, False, ())
    assert job.session.reconnect_count == 0


@pytest.mark.parametrize(
    ("returns", "window_s"), [(0, 300), (1, 600), (2, 600), (3, 1800), (4, 1800)]
)
async def test_the_resume_window_grows_with_the_returns(
    backend: Backend, world: World, returns: int, window_s: int
) -> None:
    """A rejoin within the window of its tier goes on; a later one is a new session."""
    job = await join(backend)
    for number in range(returns):
        await backend.arrive(job.lease, nonce(), f"load {number}")
    left = await backend.leave(job.lease)
    await backend.release(job.lease)
    stored = await job.load()
    assert left.window_until - stored.last_seen == window_s * 1000
    assert stored.window_until == left.window_until

    await world.pass_time(window_s - 2)
    within, _ = await open_session(backend)
    await world.pass_time(window_s + 1)
    after, _ = await open_session(backend)

    assert (within.created, within.session.id) == (False, job.id)
    assert (after.created, after.session.id != job.id) == (True, True)
    assert kinds(after.events) == ["session_ended", "session_created"]
    ended = await job.load()
    assert ended.state == "ended"
    assert 0 < ended.ended_at <= ended.now


async def test_a_return_is_counted_by_the_join(backend: Backend) -> None:
    """After a leave, the next join is a return."""
    first = await join(backend)
    await first.away()
    second = await join(backend)
    assert (second.id, second.outcome) == (first.id, JoinOutcome.REJOINED)
    assert second.session.reconnect_count == 1
    assert second.session.joined_at == first.session.joined_at
    assert kinds(second.found.events) == ["session_resumed"]
    assert int(second.session.fence) > int(first.session.fence)


async def test_a_job_that_died_is_taken_over(backend: Backend, world: World) -> None:
    """No departure, so no return; the window runs from the end of the dead job's lease."""
    first = await join(backend, load="a")
    await world.pass_time(299)
    second = await join(backend, load="a")
    assert (second.id, second.outcome) == (first.id, JoinOutcome.TAKEN_OVER)
    assert second.session.reconnect_count == 0
    assert kinds(second.found.events) == ["takeover"]

    await world.pass_time(304)
    third = await join(backend, load="a")
    assert third.id != first.id
    assert kinds(third.found.events) == ["session_ended", "session_created"]


async def test_a_lease_that_was_given_back_is_handed_over(backend: Backend) -> None:
    """The same without a leave, but on purpose: a handoff."""
    first = await join(backend, load="a")
    await backend.release(first.lease)
    second = await join(backend, load="a")
    assert second.outcome is JoinOutcome.HANDED_OVER
    assert kinds(second.found.events) == ["handoff"]


async def test_a_join_tells_how_long_the_participant_was_away(
    backend: Backend, world: World
) -> None:
    """The gap runs from the departure, also if the session was opened in between."""
    first = await join(backend)
    await first.away()
    await world.pass_time(50)
    await open_session(backend)
    await world.pass_time(10)
    second = await join(backend)
    assert first.session.gap_ms == 0
    assert 60_000 <= second.session.gap_ms < 70_000

    await world.pass_time(20)
    await backend.release(second.lease)
    reloaded = await join(backend, load="another load")
    assert reloaded.outcome is JoinOutcome.REJOINED
    assert 20_000 <= reloaded.session.gap_ms < 30_000, "since the participant was last seen"


async def test_a_join_tells_how_long_the_participant_was_without_a_job(
    backend: Backend, world: World
) -> None:
    """From the last sign of life of the job before. A repeated join gets the same gap."""
    first = await join(backend)
    await world.pass_time(30)
    second = await join(backend)
    assert second.outcome is JoinOutcome.TAKEN_OVER
    assert 30_000 <= second.session.gap_ms < 40_000

    await backend.release(second.lease)
    await world.pass_time(5)
    owner = nonce()
    third = await join(backend, owner=owner)
    assert third.outcome is JoinOutcome.HANDED_OVER
    assert 5_000 <= third.session.gap_ms < 15_000
    await world.pass_time(1)
    again = await join(backend, owner=owner)
    assert (again.outcome, again.session.gap_ms) == (third.outcome, third.session.gap_ms)
    assert (await first.load()).id == again.id


async def test_a_new_page_load_is_a_return_also_for_a_takeover(
    backend: Backend, world: World
) -> None:
    """A participant who reloads the page while the job is dead has come back."""
    await join(backend, load="a")
    await world.pass_time(10)
    second = await join(backend, load="b")
    assert second.outcome is JoinOutcome.REJOINED
    assert second.session.reconnect_count == 1
    assert kinds(second.found.events) == ["session_resumed"]


async def test_a_held_lease_is_refused(backend: Backend, world: World) -> None:
    """A second job must wait for the end of the lease, is told how long, and changes nothing."""
    job = await join(backend)
    async with nothing_changes(world):
        with pytest.raises(LeaseHeld) as held:
            await join(backend)
    assert held.value.session_id == job.id
    assert 0 < held.value.wait_ms <= 3000


async def test_of_many_joins_at_once_one_gets_the_lease(world: World) -> None:
    """Twelve processes ask in the same moment; the others are told to wait."""
    backends = [world.another() for _ in range(4)] * 3
    answers = await asyncio.gather(*map(join, backends), return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert sum(isinstance(answer, LeaseHeld) for answer in answers) == 11


async def test_of_many_opens_at_once_one_creates(world: World) -> None:
    """Tabs that come at once share a session, and one of them is to dispatch the agent."""
    backends = [world.another() for _ in range(8)]
    answers = await asyncio.gather(*(open_session(each, expect_agent=True) for each in backends))
    assert len({found.session.id for found, _ in answers}) == 1
    assert sum(found.created for found, _ in answers) == 1
    assert sorted(agent for _, agent in answers) == ["EXPECTED"] * 7 + ["WANTED"]


async def test_the_same_attempt_again_repeats_the_answer(backend: Backend) -> None:
    """A join whose answer was lost counts nothing twice, and tells nothing twice."""
    first = await join(backend, load="a")
    await first.away()
    owner = nonce()
    second = await join(backend, owner=owner, load="b")
    again = await join(backend, owner=owner, load="b")
    assert (again.lease, again.outcome) == (second.lease, second.outcome)
    assert again.session.reconnect_count == second.session.reconnect_count == 1
    assert again.found.events == ()


@pytest.mark.parametrize("exact", [False, True])
async def test_a_join_sent_twice_is_one_join(backend: Backend, *, exact: bool) -> None:
    """The very same call again, its candidate included, makes no second session."""
    offered, owner = candidate(), nonce()
    wanted = (await open_session(backend))[0].session.id if exact else None
    one = await join(backend, owner=owner, offered=offered, wanted=wanted, exact=exact)
    two = await join(backend, owner=owner, offered=offered, wanted=wanted, exact=exact)
    assert (two.lease, two.outcome, two.found.created) == (one.lease, one.outcome, not exact)
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 1


async def test_exactly_the_wanted_session_or_none(backend: Backend, world: World) -> None:
    """A job that was sent for one session joins no other, and changes nothing when it is gone."""
    job = await join(backend)
    await job.away()
    same = await join(backend, wanted=job.id, exact=True)
    assert same.id == job.id
    await same.away()
    for wanted, who in ((candidate().session_id, MARIA), (job.id, JOE)):
        async with nothing_changes(world):
            with pytest.raises(SessionGone) as gone:
                await join(backend, who, wanted=wanted, exact=True)
        assert gone.value.session_id == wanted


async def test_exactly_a_session_that_ended_is_refused(backend: Backend, world: World) -> None:
    """Past its window a session is not joined by name, whether it was marked or not."""
    job = await join(backend)
    await job.away()
    await world.pass_time(301)
    async with nothing_changes(world):
        with pytest.raises(SessionEnded):
            await join(backend, wanted=job.id, exact=True)
    await backend.close(MARIA, job.id)
    async with nothing_changes(world):
        with pytest.raises(SessionEnded) as ended:
            await join(backend, wanted=job.id, exact=True)
    assert ended.value.session_id == job.id


async def test_a_second_session_leaves_the_first_as_it_is(backend: Backend) -> None:
    """Asked for a new one, the store makes one beside those that live."""
    job = await join(backend)
    found, _ = await open_session(backend, mode=OpenMode.NEW)
    assert found.created
    assert kinds(found.events) == ["session_created"]
    assert (await job.load()).state == "live"
    await backend.renew(job.lease)
    newest, _ = await open_session(backend)
    assert newest.session.id == found.session.id


async def test_a_new_session_asked_for_twice_is_made_once(backend: Backend, world: World) -> None:
    """The same call again, after its answer was lost, answers what the first one made."""
    offered = candidate()
    first, _ = await open_session(backend, mode=OpenMode.NEW, offered=offered)
    again, _ = await open_session(world.another(max_sessions=1), mode=OpenMode.NEW, offered=offered)
    assert (again.session.id, again.created) == (first.session.id, True)
    assert again.events == ()
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 1


async def test_a_switch_goes_back_to_an_older_session(backend: Backend) -> None:
    """Within its window it just goes on, and is the newest from then on."""
    old = await join(backend)
    await old.append(sealed("hello"))
    await old.away()
    await open_session(backend, mode=OpenMode.NEW)
    found, _ = await open_session(backend, wanted=old.id, mode=OpenMode.SWITCH)
    assert (found.session.id, found.created, found.events) == (old.id, False, ())
    assert list(found.session.turns) == [sealed("hello")]
    newest, _ = await open_session(backend)
    assert newest.session.id == old.id


async def test_a_switch_revives_a_session_that_ended(backend: Backend, world: World) -> None:
    """It is away with a window of its tier, and the join that follows is a return."""
    old = await join(backend)
    await backend.arrive(old.lease, nonce(), "a return")
    await backend.close(MARIA, old.id)
    await world.pass_time(3600)
    found, _ = await open_session(backend, wanted=old.id, mode=OpenMode.SWITCH)
    assert (found.session.state, found.session.ended_at, found.events) == ("away", 0, ())
    assert found.session.window_until - found.session.last_seen == 600_000
    job = await join(backend)
    assert (job.id, job.outcome) == (old.id, JoinOutcome.REJOINED)
    assert job.session.reconnect_count == 2


async def test_a_switch_tells_the_end_that_nobody_had_noticed(
    backend: Backend, world: World
) -> None:
    """A session past its window ended, even if it goes on now; its old holder has lost it."""
    old = await join(backend)
    await world.pass_time(304)
    found, _ = await open_session(backend, wanted=old.id, mode=OpenMode.SWITCH)
    assert kinds(found.events) == ["session_ended"]
    assert found.session.state == "away"
    assert int(found.session.fence) > int(old.session.fence)


async def test_a_switch_to_nothing_is_refused(backend: Backend, world: World) -> None:
    """A session that is gone, or another participant's, is not switched to; none is created."""
    theirs = await join(backend, JOE)
    await join(backend)
    for wanted in (theirs.id, candidate().session_id):
        async with nothing_changes(world):
            with pytest.raises(SessionGone) as gone:
                await open_session(backend, wanted=wanted, mode=OpenMode.SWITCH)
        assert gone.value.session_id == wanted


async def test_one_session_too_many_erases_the_oldest_that_ended(world: World) -> None:
    """Not an older one that still goes on, nor one that ended later."""
    backend = world.another(max_sessions=4)
    ids = [(await open_session(backend, mode=OpenMode.NEW))[0].session.id for _ in range(4)]
    for session_id in (ids[2], ids[1]):
        await backend.close(MARIA, session_id)
    found, _ = await open_session(backend, mode=OpenMode.NEW)
    assert kinds(found.events) == ["erased", "session_created"]
    page = await backend.sessions(MARIA, offset=0, limit=9)
    assert [each.id for each in page.sessions] == [found.session.id, ids[3], ids[2], ids[0]]


async def test_one_session_too_many_spares_those_that_are_held(
    world: World,
) -> None:
    """A conversation that a job is in is not cut off by another tab; then none is opened."""
    backend = world.another(max_sessions=2, lease_s=1000, lease_renew_s=10)
    jobs = []
    for _ in range(2):
        opened, _ = await open_session(backend, mode=OpenMode.NEW)
        jobs.append(await join(backend, wanted=opened.session.id))
    async with nothing_changes(world):
        with pytest.raises(StoreRefused, match="all in use"):
            await open_session(backend, mode=OpenMode.NEW)
    await backend.release(jobs[1].lease)
    found, _ = await open_session(backend, mode=OpenMode.NEW)
    assert [(str(event.type), event.session_id) for event in found.events[:2]] == [
        ("session_ended", jobs[1].id),
        ("erased", jobs[1].id),
    ]
    await backend.renew(jobs[0].lease)


async def test_one_session_too_many_erases_the_oldest(world: World) -> None:
    """Where none has ended, the one that was seen longest ago goes, with its turns."""
    backend = world.another(max_sessions=3)
    first, second, third = [
        (await open_session(backend, mode=OpenMode.NEW))[0].session.id for _ in range(3)
    ]
    await open_session(backend, wanted=first, mode=OpenMode.SWITCH)

    found, _ = await open_session(backend, mode=OpenMode.NEW)

    assert [(str(event.type), event.session_id) for event in found.events] == [
        ("session_ended", second),
        ("erased", second),
        ("session_created", found.session.id),
    ]
    page = await backend.sessions(MARIA, offset=0, limit=9)
    assert [each.id for each in page.sessions] == [found.session.id, first, third]
    assert await backend.load(MARIA, second, last=None) is None
    assert second not in await world.due(MARIA)


async def test_a_single_session_makes_room_for_the_next(world: World) -> None:
    """With a limit of one, a session that ended is replaced; its end is told once."""
    backend = world.another(max_sessions=1)
    job = await join(backend)
    await world.pass_time(304)
    found, _ = await open_session(backend)
    assert kinds(found.events) == ["session_ended", "erased", "session_created"]
    assert await backend.load(MARIA, job.id, last=None) is None
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 1


async def test_an_erased_session_was_told_to_have_ended_only_once(world: World) -> None:
    """Where it had ended before, making room tells only that it is erased."""
    backend = world.another(max_sessions=1)
    job = await join(backend)
    await backend.close(MARIA, job.id)
    found, _ = await open_session(backend)
    assert kinds(found.events) == ["erased", "session_created"]


async def test_sessions_of_one_participant_share_the_data_key(backend: Backend) -> None:
    """A later candidate's key is not used where there is one."""
    first, _ = await open_session(backend)
    second, _ = await open_session(backend, mode=OpenMode.NEW)
    other, _ = await open_session(backend, JOE)
    assert second.session.wrapped == first.session.wrapped
    assert other.session.wrapped != first.session.wrapped
