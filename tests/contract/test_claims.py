"""Which caller dispatches an agent: one, in time, and not for ever where each agent dies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from session_store import EventType, LeaseLost
from session_store.backends.values import AgentPresence, JoinOutcome, OpenMode, SettleOutcome
from session_store.keys import KeySpace
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
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.contract import Backend
    from session_store.events import Event
    from tests.contract.people import Job
    from tests.contract.worlds import RedisWorld, World

RACES = 150
WANTED, EXPECTED, PRESENT = AgentPresence.WANTED, AgentPresence.EXPECTED, AgentPresence.PRESENT
ABSENT, GAVE_UP = AgentPresence.ABSENT, AgentPresence.GAVE_UP


async def claim_and_hear(
    backend: Backend, job: Job, *, is_dead: bool = False, absent: bool = False
) -> tuple[AgentPresence, Sequence[Event]]:
    """Claim the place of a job, which is known to be dead or not."""
    return await backend.claim_orphan(
        MARIA,
        job.id,
        owner=job.lease.owner if is_dead else "",
        idempotency_key=nonce(),
        absent=absent,
    )


async def claim(
    backend: Backend, job: Job, *, is_dead: bool = False, absent: bool = False
) -> AgentPresence:
    """The same, in silence."""
    return (await claim_and_hear(backend, job, is_dead=is_dead, absent=absent))[0]


async def a_crash_loop(
    backend: Backend, world: World, *pauses_s: float
) -> tuple[list[AgentPresence], Job]:
    """Let a job and its successors die, each after so many seconds.

    Returns:
        What the claims answered, and the last successor, which lives.
    """
    job = await join(backend, load="a")
    answers = []
    for pause_s in pauses_s:
        await world.pass_time(pause_s)
        answers.append(await claim(backend, job, is_dead=True))
        job = await join(backend, load="a")
    return answers, job


async def test_a_lease_that_ran_out_is_broken_without_grace(backend: Backend, world: World) -> None:
    """One gets to dispatch, by its deadline; the job before writes nothing any more."""
    job = await join(backend)
    assert await claim(backend, job) is PRESENT
    await world.pass_time(4)
    answer, events = await claim_and_hear(backend, job)
    assert (answer, kinds(events)) == (WANTED, ["lease_lost"])
    again, silence = await claim_and_hear(backend, job)
    assert (again, silence) == (EXPECTED, ())
    with pytest.raises(LeaseLost):
        await job.append(sealed("turn 1"))
    with pytest.raises(LeaseLost):
        await backend.renew(job.lease)
    settled = await backend.settle(MARIA, job.id)
    assert (settled.outcome, settled.events) == (SettleOutcome.LATER, ())
    assert not await is_due(backend, MARIA, job.id)
    now = (await job.load()).now
    assert 0 < settled.deadline - now <= 10_000


async def test_the_lease_of_a_job_that_is_known_to_be_dead_is_broken_at_once(
    backend: Backend,
) -> None:
    """A caller that knows the lease's nonce may break it early; no other caller may."""
    job = await join(backend)
    other = await backend.claim_orphan(MARIA, job.id, owner=nonce(), idempotency_key=nonce())
    assert other == (PRESENT, ())
    answer, events = await claim_and_hear(backend, job, is_dead=True)
    assert (answer, kinds(events)) == (WANTED, ["lease_lost"])
    assert (await job.load()).owner == ""
    successor = await join(backend)
    assert successor.outcome is JoinOutcome.TAKEN_OVER


async def test_who_comes_after_a_broken_lease_takes_over(backend: Backend, world: World) -> None:
    """It is a takeover, once; after a release it stays a handoff, whichever caller dispatched."""
    job = await join(backend, load="a")
    await claim(backend, job, is_dead=True)
    second = await join(backend, load="a")
    assert kinds(second.found.events) == ["takeover"]
    await backend.release(second.lease)
    assert await claim(backend, second) is WANTED
    third = await join(backend, load="a")
    assert (third.outcome, kinds(third.found.events)) == (JoinOutcome.HANDED_OVER, ["handoff"])
    await claim(backend, third, is_dead=True)
    await world.pass_time(5)
    reloaded = await join(backend, load="b")
    assert reloaded.outcome is JoinOutcome.REJOINED


@pytest.mark.parametrize("claimed", [False, True], ids=["lease ran out", "lease was broken"])
async def test_a_takeover_tells_how_long_nothing_was_heard_of_the_job_before(
    backend: Backend, world: World, *, claimed: bool
) -> None:
    """It counts from the last renewal, whether or not a caller broke the lease before."""
    job = await join(backend, load="a")
    await world.pass_time(100)
    await backend.renew(job.lease)
    if claimed:
        await world.pass_time(4)
        assert await claim(backend, job) is WANTED
    await world.pass_time(50)
    second = await join(backend, load="a")
    (takeover,) = second.found.events
    expected_ms = 54_000 if claimed else 50_000
    assert 0 <= takeover.silent_ms - expected_ms < 10_000
    await backend.release(second.lease)
    third = await join(backend, load="a")
    assert [event.silent_ms for event in third.found.events] == [0]


async def test_a_time_that_an_earlier_version_left_is_not_told(redis_world: RedisWorld) -> None:
    """A worker that notes no end of the lease it breaks leaves the one of a break before."""
    backend = redis_world.backend
    job = await join(backend, load="a")
    await redis_world.pass_time(4)
    assert await claim(backend, job) is WANTED
    second = await join(backend, load="a")
    await redis_world.pass_time(100)
    key = KeySpace().participant(MARIA).session(second.id)
    fence = await redis_world.raw.hget(key, "fence")
    broken = {"owner": "", "lease_until": "0", "lost": fence}
    await redis_world.raw.hset(key, mapping=broken)
    (takeover,) = (await join(backend, load="a")).found.events
    assert (takeover.type, takeover.silent_ms) == (EventType.TAKEOVER, 0)


async def test_a_successor_that_has_come_is_left_alone(backend: Backend, world: World) -> None:
    """A claim by the nonce of the job before it, come late, changes nothing."""
    job = await join(backend)
    await claim(backend, job, is_dead=True)
    await join(backend)
    async with nothing_changes(world):
        assert await claim(backend, job, is_dead=True) is PRESENT
        assert await claim(backend, job) is PRESENT


async def test_nothing_is_claimed_where_nothing_goes_on(backend: Backend, world: World) -> None:
    """A session that has ended, is gone or is another participant's wants no successor."""
    job = await join(backend)
    await backend.close(MARIA, job.id)
    gone = candidate().session_id
    async with nothing_changes(world):
        for who, session_id, answer in (
            (MARIA, job.id, AgentPresence.ENDED),
            (MARIA, gone, AgentPresence.GONE),
            (JOE, job.id, AgentPresence.GONE),
        ):
            for absent in (False, True):
                assert await backend.claim_orphan(
                    who, session_id, owner="", idempotency_key="1", absent=absent
                ) == (answer, ())
                assert await backend.give_back_claim(who, session_id, absent=absent) == ()


async def test_the_same_claim_again_repeats_the_answer(backend: Backend, world: World) -> None:
    """A caller whose answer was lost does not block the next agent; other callers still wait."""
    job = await join(backend)
    await world.pass_time(4)
    first = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="mine")
    again = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="mine")
    other = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="another")
    assert (first[0], kinds(first[1])) == (WANTED, ["lease_lost"])
    assert (again, other) == ((WANTED, ()), (EXPECTED, ()))
    await world.pass_time(11)
    assert await backend.expect_agent(MARIA, job.id, claim=True) is WANTED
    assert await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="mine") == (
        EXPECTED,
        (),
    )


async def test_an_overdue_dispatch_is_claimed_for_ever(backend: Backend, world: World) -> None:
    """No agent came, so none died: another is dispatched as long as the participant waits."""
    job = await join(backend)
    assert await claim(backend, job, is_dead=True) is WANTED
    for _ in range(60):
        await world.pass_time(11)
        assert await is_due(backend, MARIA, job.id)
        assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.OVERDUE
        assert await claim(backend, job) is WANTED
    assert (await join(backend)).id == job.id


async def test_an_overdue_dispatch_is_told_in_any_state(backend: Backend, world: World) -> None:
    """This holds for a session that no job has joined, or whose participant was away."""
    opened, _ = await open_session(backend, expect_agent=True)
    await world.pass_time(11)
    new = await backend.settle(MARIA, opened.session.id)
    job = await join(backend)
    await job.away()
    await open_session(backend, expect_agent=True)
    early = await backend.settle(MARIA, job.id)
    await world.pass_time(11)
    away = await backend.settle(MARIA, job.id)
    assert [each.outcome for each in (new, early, away)] == ["OVERDUE", "LATER", "OVERDUE"]


async def test_who_is_let_in_beside_a_job_that_has_just_died_is_not_forgotten(
    backend: Backend, world: World
) -> None:
    """Its lease still looked good, and its participant had been away: it is an orphan all the same.

    A job that sees the admitted participant ends that.
    """
    dead = await join(backend)
    await backend.leave(dead.lease)
    await backend.settle(MARIA, dead.id)
    _, agent = await open_session(backend, expect_agent=True)
    assert agent is PRESENT
    await world.pass_time(4)
    assert await is_due(backend, MARIA, dead.id)
    assert (await backend.settle(MARIA, dead.id)).outcome is SettleOutcome.ORPHANED
    assert await claim(backend, dead) is WANTED

    job = await join(backend)
    await backend.leave(job.lease)
    await open_session(backend, expect_agent=True)
    await backend.arrive(job.lease, nonce(), "")
    await backend.leave(job.lease)
    await world.pass_time(4)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_who_is_let_in_while_the_job_goes_is_not_forgotten(
    backend: Backend, world: World
) -> None:
    """The page was reloaded: its old connection has left, and the new one finds no agent."""
    job = await join(backend)
    assert (await open_session(backend, expect_agent=True))[1] is PRESENT
    await backend.leave(job.lease)
    await world.pass_time(1)
    await backend.settle(MARIA, job.id)
    await backend.release(job.lease)
    assert await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.OVERDUE
    assert await claim(backend, job, absent=True) is WANTED


async def test_where_nobody_is_there_the_participant_has_left(
    backend: Backend, world: World
) -> None:
    """When last seen; for a minute more it is looked for, and then when its window ends."""
    job = await join(backend, load="a")
    await world.pass_time(20)
    await backend.renew(job.lease)
    seen = (await job.load()).last_seen
    await world.pass_time(30)
    answer, events = await claim_and_hear(backend, job, absent=True)
    assert (answer, kinds(events)) == (ABSENT, ["lease_lost", "participant_left"])
    assert 0 <= events[1].visit_ms - 20_000 < 10_000
    stored = await job.load()
    assert (stored.state, stored.owner) == ("away", "")
    assert abs(stored.window_until - stored.last_seen - 300_000) == 0
    if seen == stored.last_seen:  # Where time is passed by moving what is stored, it has moved.
        assert stored.window_until == seen + 300_000
    for _ in range(3):
        await world.pass_time(18)
        assert await is_due(backend, MARIA, job.id)
        assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.OVERDUE
        assert await claim_and_hear(backend, job, absent=True) == (ABSENT, ())
    await world.pass_time(10)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    await world.pass_time(190)
    assert not await is_due(backend, MARIA, job.id)
    await world.pass_time(20)
    assert await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ENDED


async def test_who_comes_back_without_asking_gets_an_agent(backend: Backend, world: World) -> None:
    """A connection that was down is mended by itself: no gateway and no job hears of it."""
    job = await join(backend, load="a")
    assert await claim(backend, job, is_dead=True, absent=True) is ABSENT
    await world.pass_time(40)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.OVERDUE
    assert await claim(backend, job) is WANTED
    back = await join(backend, load="a")
    assert back.outcome is JoinOutcome.REJOINED
    await back.away()
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER


async def test_a_claim_that_finds_nobody_is_given_back(backend: Backend, world: World) -> None:
    """The other way: claimed first, then the participant was not found; told once."""
    job = await join(backend, load="a")
    await claim(backend, job, is_dead=True)
    left = await backend.give_back_claim(MARIA, job.id, absent=True)
    assert kinds(left) == ["participant_left"]
    assert await backend.give_back_claim(MARIA, job.id, absent=True) == ()
    await world.pass_time(61)
    settled = await backend.settle(MARIA, job.id)
    stored = await job.load()
    assert (settled.outcome, settled.deadline) == (SettleOutcome.LATER, stored.window_until + 1)
    assert not await is_due(backend, MARIA, job.id)
    back = await join(backend, load="a")
    assert back.outcome is JoinOutcome.REJOINED


async def test_a_job_knows_better_who_is_there(backend: Backend) -> None:
    """Where a job holds the lease, a claim that is given back leaves the state alone."""
    job = await join(backend)
    assert await backend.give_back_claim(MARIA, job.id, absent=True) == ()
    assert (await job.load()).state == "live"
    assert await claim(backend, job, absent=True) is PRESENT


async def test_who_is_on_the_way_is_not_absent(backend: Backend, world: World) -> None:
    """A participant admitted a moment ago may not be in the room yet, so an agent is wanted."""
    job = await join(backend)
    await world.pass_time(4)
    _, agent = await open_session(backend, expect_agent=True)
    assert agent is PRESENT
    assert await claim(backend, job, absent=True) is WANTED
    assert await backend.give_back_claim(MARIA, job.id, absent=True) == ()
    assert (await job.load()).state == "live"
    await world.pass_time(11)
    assert await claim(backend, job, absent=True) is ABSENT
    assert (await job.load()).state == "away"


async def test_three_deaths_are_replaced_and_no_fourth(backend: Backend, world: World) -> None:
    """Then no caller looks for an agent, and each is told so; after a minute it is tried again."""
    answers, fourth = await a_crash_loop(backend, world, 1, 1, 1)
    assert answers == [WANTED] * 3
    assert (await open_session(backend, expect_agent=True))[1] is PRESENT
    await world.pass_time(4)
    assert (await backend.settle(MARIA, fourth.id)).outcome is SettleOutcome.ORPHANED
    answer, events = await claim_and_hear(backend, fourth)
    assert (answer, kinds(events)) == (GAVE_UP, ["lease_lost"])
    settled = await backend.settle(MARIA, fourth.id)
    assert (settled.outcome, settled.events) == (SettleOutcome.LATER, ())
    assert not await is_due(backend, MARIA, fourth.id)
    for _ in range(2):
        assert (await open_session(backend, expect_agent=True))[1] is GAVE_UP
        assert await backend.expect_agent(MARIA, fourth.id, claim=True) is GAVE_UP
        assert await backend.expect_agent(MARIA, fourth.id, claim=False) is GAVE_UP
        assert await claim_and_hear(backend, fourth) == (GAVE_UP, ())
        await world.pass_time(20)
        assert (await backend.settle(MARIA, fourth.id)).outcome is SettleOutcome.LATER
    await world.pass_time(21)
    assert await is_due(backend, MARIA, fourth.id)
    assert (await backend.settle(MARIA, fourth.id)).outcome is SettleOutcome.OVERDUE
    assert await claim(backend, fourth) is WANTED


async def test_deaths_are_forgotten_when_nobody_is_dispatched_any_more(
    backend: Backend, world: World
) -> None:
    """After the minute three more may die, and no fourth."""
    _, job = await a_crash_loop(backend, world, 1, 1, 1)
    assert await claim(backend, job, is_dead=True) is GAVE_UP
    await world.pass_time(61)
    assert (await open_session(backend, expect_agent=True))[1] is WANTED
    answers, _ = await a_crash_loop(backend, world, 1, 1, 1, 1)
    assert answers == [WANTED] * 3 + [GAVE_UP]


@pytest.mark.parametrize(
    ("pauses_s", "gives_up"),
    [
        ((1, 1, 1, 1), True),
        ((1, 15, 15, 15), True),
        ((1, 15, 15, 35), False),
        ((1, 1, 1, 61), False),
        ((1, 1, 61, 1), False),
        ((30, 30, 30, 30, 30, 30), False),
        ((1, 1, 61, 1, 1, 1), True),
    ],
)
async def test_only_deaths_within_a_minute_count_together(
    backend: Backend, world: World, pauses_s: tuple[float, ...], *, gives_up: bool
) -> None:
    """The fourth of them is not replaced; a job that lived has ended the row."""
    answers, _ = await a_crash_loop(backend, world, *pauses_s)
    assert answers[:-1] == [WANTED] * (len(pauses_s) - 1)
    assert answers[-1] is (GAVE_UP if gives_up else WANTED)


async def test_a_death_is_counted_once(backend: Backend, world: World) -> None:
    """However often its place is claimed and given back, and by whichever caller."""
    job = await join(backend)
    assert await claim(backend, job, is_dead=True) is WANTED
    for _ in range(3):
        await backend.give_back_claim(MARIA, job.id)
        assert await claim(backend, job) is WANTED
        await backend.give_back_claim(MARIA, job.id)
        assert (await open_session(backend, expect_agent=True))[1] is WANTED
        await world.pass_time(11)
        assert await backend.expect_agent(MARIA, job.id, claim=True) is WANTED
    answers, _ = await a_crash_loop(backend, world, 1, 1, 1)
    assert answers == [WANTED, WANTED, GAVE_UP]


@pytest.mark.parametrize(("lives_s", "fourth"), [(1, GAVE_UP), (11, WANTED)])
async def test_jobs_that_go_at_once_count_too(
    backend: Backend, world: World, lives_s: float, fourth: AgentPresence
) -> None:
    """Jobs that end in order at once give no answer, either; a worker's restart is fine."""
    answers = []
    for _ in range(4):
        job = await join(backend, load="a")
        await world.pass_time(lives_s)
        await backend.release(job.lease)
        answers.append(await claim(backend, job))
    assert answers == [WANTED] * 3 + [fourth]


async def test_visits_are_no_deaths(backend: Backend) -> None:
    """A job whose participant left may go, and the next one come, as often as it may be."""
    for _ in range(9):
        _, agent = await open_session(backend, expect_agent=True)
        assert agent is WANTED
        job = await join(backend)
        await job.away()


async def test_a_job_that_comes_all_the_same_ends_the_giving_up(
    backend: Backend, world: World
) -> None:
    """It holds the session, whichever caller sent it, and is missed again if it is lost."""
    answers, job = await a_crash_loop(backend, world, 1, 1, 1, 1)
    assert answers[-1] is GAVE_UP
    assert await backend.expect_agent(MARIA, job.id, claim=True) is PRESENT
    await world.pass_time(61)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ORPHANED
    assert await claim(backend, job) is WANTED


async def test_an_ended_session_that_goes_on_gets_its_agent(backend: Backend, world: World) -> None:
    """What was given up before its end counts no more."""
    _, job = await a_crash_loop(backend, world, 1, 1, 1)
    assert await claim(backend, job, is_dead=True) is GAVE_UP
    await backend.close(MARIA, job.id)
    _, agent = await open_session(backend, wanted=job.id, mode=OpenMode.SWITCH, expect_agent=True)
    assert agent is WANTED


async def test_a_new_session_that_was_closed_meanwhile_wants_no_agent(backend: Backend) -> None:
    """The call that made it comes again, after another caller has closed it."""
    offered = candidate()
    await open_session(backend, mode=OpenMode.NEW, offered=offered, expect_agent=True)
    await backend.close(MARIA, offered.session_id)
    _, agent = await open_session(backend, mode=OpenMode.NEW, offered=offered, expect_agent=True)
    assert agent is AgentPresence.ENDED


async def test_of_many_watchers_one_dispatches(world: World) -> None:
    """Ten see the same orphan at once."""
    backends = [world.another() for _ in range(10)]
    job = await join(world.backend)
    await world.pass_time(4)
    async with listening(world.backend) as heard:
        answers = await asyncio.gather(*(claim(each, job) for each in backends))
    assert sorted(answers) == ["EXPECTED"] * 9 + ["WANTED"]
    assert kinds(heard) == ["lease_lost"]


async def test_two_watchers_at_once_never_both_dispatch(redis_world: RedisWorld) -> None:
    """Many rounds, two processes, one of them knowing that the job is dead, or both, or none."""
    one, two = redis_world.another(), redis_world.another()
    for number in range(RACES):
        job = await join(redis_world.backend, offered=candidate())
        knows = (number % 2 == 0, number % 3 == 0)
        if not any(knows):
            await redis_world.pass_time(4)
        answers = await asyncio.gather(
            claim(one, job, is_dead=knows[0]), claim(two, job, is_dead=knows[1])
        )
        assert answers.count(WANTED) == 1
        assert set(answers) <= {WANTED, EXPECTED, PRESENT}
        await redis_world.backend.erase(MARIA, "k-1", [job.id])


async def test_of_a_stalled_holder_and_a_watcher_one_wins(redis_world: RedisWorld) -> None:
    """Renewed before the claim, the lease stays; after it, it is lost: never both, nor neither."""
    holder, watcher = redis_world.another(), redis_world.another()
    won = {PRESENT: 0, WANTED: 0}
    for number in range(RACES):
        job = await join(redis_world.backend)
        await redis_world.pass_time(4)
        calls = [holder.renew(job.lease), claim(watcher, job)]
        # The caller that is started first mostly comes first.
        if number % 2:
            answer, renewal = await asyncio.gather(*calls[::-1], return_exceptions=True)
        else:
            renewal, answer = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answer, AgentPresence)
        assert (answer, type(renewal)) in {(PRESENT, type(None)), (WANTED, LeaseLost)}
        won[answer] += 1
        await redis_world.backend.erase(MARIA, "k-1", [job.id])
    assert all(won.values())
