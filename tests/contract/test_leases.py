"""The right to write: extended, given back, taken after its end, never shared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_store import LeaseHeld, LeaseLost, SessionGone
from session_store.backends.values import (
    AgentPresence,
    JoinOutcome,
    LeaseRef,
    OpenMode,
    SealedDraft,
)
from session_store.sealing.data_key import NO_TAG
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
    from collections.abc import Awaitable, Callable

    from session_store.backends.contract import Backend
    from tests.contract.worlds import World

GUARDED: dict[str, Callable[[Backend, LeaseRef], Awaitable[Any]]] = {
    "append": lambda backend, lease: backend.append(lease, 1, NO_TAG, [sealed("turn 1")]),
    "update": lambda backend, lease: backend.update(lease, 0, b"content", witness_seq=0),
    "arrive": lambda backend, lease: backend.arrive(lease, nonce(), "a load"),
    "leave": lambda backend, lease: backend.leave(lease),
    "renew": lambda backend, lease: backend.renew(lease),
    "release": lambda backend, lease: backend.release(lease),
    "draft": lambda backend, lease: backend.draft(lease, SealedDraft("user", 1, sealed("draft"))),
}


@pytest.fixture(params=list(GUARDED.values()), ids=list(GUARDED))
def guarded(request: pytest.FixtureRequest) -> Callable[[Backend, LeaseRef], Awaitable[Any]]:
    """Return each operation that shows a lease."""
    chosen: Callable[[Backend, LeaseRef], Awaitable[Any]] = request.param
    return chosen


async def test_a_stale_fencing_token_is_refused_and_changes_nothing(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """After a takeover, no write of the job before gets through."""
    stale = await join(backend)
    await world.pass_time(4)
    await join(backend)
    async with nothing_changes(world):
        with pytest.raises(LeaseLost) as lost:
            await guarded(backend, stale.lease)
    assert lost.value.session_id == stale.id
    assert lost.value.fencing_token == int(stale.lease.fence)


async def test_both_owner_and_fence_must_be_right(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """Half a lease is none; a later fence than the stored one is wrong too."""
    job = await join(backend)
    later = str(int(job.lease.fence) + 1)
    for wrong in (
        replace(job.lease, owner=nonce()),
        replace(job.lease, fence="0"),
        replace(job.lease, fence=later),
    ):
        async with nothing_changes(world):
            with pytest.raises(LeaseLost):
                await guarded(backend, wrong)


async def test_a_lease_that_was_given_back_is_no_lease(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """After a release a job writes no more, though no other job holds the lease yet."""
    job = await join(backend)
    await backend.release(job.lease)
    async with nothing_changes(world):
        with pytest.raises(LeaseLost):
            await guarded(backend, job.lease)


async def test_an_empty_nonce_holds_nothing(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """Neither a session that is held, nor one without a holder."""
    job = await join(backend)
    nobody = replace(job.lease, owner="")
    async with nothing_changes(world):
        with pytest.raises(LeaseLost):
            await guarded(backend, nobody)
    await backend.release(job.lease)
    async with nothing_changes(world):
        with pytest.raises(LeaseLost):
            await guarded(backend, nobody)


async def test_a_session_that_is_gone_refuses_its_holder(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """Deleted, erased, erased and begun anew, or never there: nothing appears."""
    deleted = await join(backend)
    await backend.delete(MARIA, deleted.id)
    erased = await join(backend)
    await backend.erase(MARIA, "k-1", [])
    anew = await join(backend)
    for lease in (
        deleted.lease,
        erased.lease,
        replace(anew.lease, data_key_id=erased.lease.data_key_id),
        replace(anew.lease, participant=JOE),
        replace(anew.lease, session_id="another000000000000000000a"),
    ):
        async with nothing_changes(world):
            with pytest.raises(SessionGone) as gone:
                await guarded(backend, lease)
        assert gone.value.session_id == lease.session_id


@pytest.mark.parametrize("how", ["close", "settle", "open", "join"])
async def test_a_session_that_ended_refuses_its_holder(
    backend: Backend,
    world: World,
    guarded: Callable[[Backend, LeaseRef], Awaitable[Any]],
    how: str,
) -> None:
    """However it ended, the holder has lost its lease."""
    job = await join(backend)
    if how != "close":
        await world.pass_time(304)
    match how:
        case "close":
            await backend.close(MARIA, job.id)
        case "settle":
            await backend.settle(MARIA, job.id)
        case "open":
            await open_session(backend)
        case _:
            await join(backend)
    assert (await job.load()).state == "ended"
    async with nothing_changes(world):
        with pytest.raises(LeaseLost):
            await guarded(backend, job.lease)


async def test_an_expired_lease_that_nobody_took_is_still_good(
    backend: Backend, world: World, guarded: Callable[[Backend, LeaseRef], Awaitable[Any]]
) -> None:
    """A stall longer than the lease costs its holder nothing: the fence decides."""
    job = await join(backend)
    await world.pass_time(60)
    await guarded(backend, job.lease)


async def test_a_renewed_lease_is_held_again(backend: Backend, world: World) -> None:
    """Renewing extends it from now, also where it had run out."""
    job = await join(backend)
    await world.pass_time(60)
    await backend.renew(job.lease)
    with pytest.raises(LeaseHeld) as held:
        await join(backend)
    assert 2_000 < held.value.wait_ms <= 3_000
    await world.pass_time(2)
    await backend.renew(job.lease)
    await world.pass_time(2)
    with pytest.raises(LeaseHeld):
        await join(backend)
    await world.pass_time(2)
    assert (await join(backend)).outcome is JoinOutcome.TAKEN_OVER


async def test_a_renewal_keeps_the_participant_in_sight(backend: Backend, world: World) -> None:
    """While it is live, a renewed session was seen now; while it is away, when it was left."""
    job = await join(backend)
    await world.pass_time(60)
    await backend.renew(job.lease)
    live = await job.load()
    await backend.leave(job.lease)
    left = await job.load()
    await world.pass_time(60)
    await backend.renew(job.lease)
    away = await job.load()
    assert live.now - live.last_seen < 10_000
    assert away.now - away.last_seen >= 60_000
    assert away.window_until - away.last_seen == left.window_until - left.last_seen == 300_000


async def test_fences_grow_from_holder_to_holder(backend: Backend, world: World) -> None:
    """Also where the clock stands still between them, and after an end."""
    fences = []
    for _ in range(4):
        job = await join(backend)
        fences.append(int(job.lease.fence))
        await job.away()
    await world.pass_time(3600)
    await backend.close(MARIA, job.id)
    await open_session(backend, wanted=job.id, mode=OpenMode.SWITCH)
    job = await join(backend)
    fences.append(int(job.lease.fence))
    assert fences == sorted(set(fences))


async def test_a_return_while_the_job_lives(backend: Backend) -> None:
    """Only a new load id, or coming back from away, is a return, and is told as one."""
    job = await join(backend, load="a")
    same = await backend.arrive(job.lease, nonce(), "a")
    reload = await backend.arrive(job.lease, nonce(), "b")
    await backend.leave(job.lease)
    back = await backend.arrive(job.lease, nonce(), "b")
    unknown = await backend.arrive(job.lease, nonce(), "")
    assert [each.counted for each in (same, reload, back, unknown)] == [False, True, True, False]
    assert [each.reconnect_count for each in (same, reload, back, unknown)] == [0, 1, 2, 2]
    assert [kinds(each.events) for each in (same, reload, back, unknown)] == [
        [],
        ["session_resumed"],
        ["session_resumed"],
        [],
    ]
    assert (await job.load()).state == "live"


async def test_an_arrival_sent_twice_is_one_return(backend: Backend) -> None:
    """The same attempt again gets the answer that was lost, and tells nothing."""
    job = await join(backend, load="a")
    first = await backend.arrive(job.lease, "one", "b")
    again = await backend.arrive(job.lease, "one", "b")
    assert (again.counted, again.reconnect_count) == (first.counted, first.reconnect_count)
    assert again.counted
    assert again.events == ()
    other = await backend.arrive(job.lease, "two", "c")
    assert other.reconnect_count == 2


async def test_a_second_leave_changes_nothing(backend: Backend) -> None:
    """The window runs from the first one, and one departure is told."""
    job = await join(backend)
    first = await backend.leave(job.lease)
    again = await backend.leave(job.lease)
    assert again.window_until == first.window_until
    assert (kinds(first.events), again.events) == (["participant_left"], ())


async def test_one_caller_is_asked_to_dispatch_an_agent(backend: Backend, world: World) -> None:
    """One gets WANTED until an agent came, the claim was given back, or time ran out."""
    opened, asked = await open_session(backend, expect_agent=True)
    session_id = opened.session.id

    async def ask(*, claim: bool = True) -> AgentPresence:
        return await backend.expect_agent(MARIA, session_id, claim=claim)

    assert asked is AgentPresence.WANTED
    assert [await ask(), await ask(claim=False)] == [AgentPresence.EXPECTED] * 2
    await backend.give_back_claim(MARIA, session_id)
    assert await ask(claim=False) is AgentPresence.ABSENT
    assert [await ask(), await ask()] == [AgentPresence.WANTED, AgentPresence.EXPECTED]
    await world.pass_time(11)
    assert await ask() is AgentPresence.WANTED
    job = await join(backend)
    assert await ask() is AgentPresence.PRESENT
    await world.pass_time(5)
    assert await ask() is AgentPresence.PRESENT
    await world.pass_time(2)
    assert await ask(claim=False) is AgentPresence.ABSENT
    await backend.renew(job.lease)
    assert await ask() is AgentPresence.PRESENT
    await backend.release(job.lease)
    assert await ask() is AgentPresence.WANTED


async def test_no_agent_is_expected_where_nothing_goes_on(backend: Backend, world: World) -> None:
    """A session that ended or is gone wants no agent, and does not appear by being asked for."""
    job = await join(backend)
    await backend.close(MARIA, job.id)
    gone = candidate().session_id
    async with nothing_changes(world):
        assert await backend.expect_agent(MARIA, job.id, claim=True) is AgentPresence.ENDED
        assert await backend.expect_agent(MARIA, gone, claim=True) is AgentPresence.GONE
        assert await backend.expect_agent(JOE, job.id, claim=True) is AgentPresence.GONE
        await backend.give_back_claim(MARIA, job.id)
        await backend.give_back_claim(MARIA, gone)


async def test_who_is_expected_keeps_the_window_open(world: World) -> None:
    """An admitted participant waits for an agent: that session does not end meanwhile."""
    backend = world.another(resume_window_first_s=5, agent_expected_s=60)
    found, _ = await open_session(backend, expect_agent=True)
    await world.pass_time(50)
    job = await join(backend)
    assert job.id == found.session.id
