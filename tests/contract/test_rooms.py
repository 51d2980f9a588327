"""A conversation is not a room: it goes where its participant goes; and each agent has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_store import LeaseHeld, LeaseLost
from session_store.backends.values import AgentPresence, JoinOutcome, OpenMode, SettleOutcome
from tests.contract.people import MARIA, is_due, join, kinds, nonce, open_session, sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.contract import Backend
    from session_store.events import Event
    from tests.contract.people import Job
    from tests.contract.worlds import World


async def in_room(backend: Backend, room: str, came_ms: int) -> Job:
    """Join from a room where the participant came at this time."""
    return await join(backend, room=room, came_ms=came_ms)


async def test_who_left_a_room_goes_on_in_another_at_once(backend: Backend) -> None:
    """It is a return; the job that waits in the room before can write no more."""
    first = await in_room(backend, "one", 1000)
    await backend.leave(first.lease)

    second = await in_room(backend, "two", 2000)

    assert (second.id, second.outcome) == (first.id, JoinOutcome.REJOINED)
    assert kinds(second.found.events) == ["lease_lost", "session_resumed"]
    assert second.session.reconnect_count == 1
    with pytest.raises(LeaseLost):
        await first.append(sealed("late"))


async def test_who_came_to_another_room_later_goes_on_there(backend: Backend) -> None:
    """The participant may not have left the room before: another device, or a dead network."""
    first = await in_room(backend, "one", 1000)

    second = await in_room(backend, "two", 1001)

    assert (second.id, second.outcome) == (first.id, JoinOutcome.REJOINED)


@pytest.mark.parametrize(
    ("room", "came_ms"),
    [
        pytest.param("one", 2000, id="the same room"),
        pytest.param("two", 1000, id="as early"),
        pytest.param("two", 0, id="at an unknown time"),
        pytest.param("", 2000, id="an unknown room"),
    ],
)
async def test_every_other_join_waits_for_the_lease(
    backend: Backend, room: str, came_ms: int
) -> None:
    """Only a later arrival in another room is a reason to take it."""
    await in_room(backend, "one", 1000)
    with pytest.raises(LeaseHeld) as held:
        await in_room(backend, room, came_ms)
    assert 0 < held.value.wait_ms <= 3000
    assert not held.value.has_moved


async def test_a_later_arrival_in_the_holder_s_room_counts(backend: Backend) -> None:
    """A page that was loaded again there has come there later than to the other room."""
    first = await in_room(backend, "one", 1000)
    await backend.arrive(first.lease, "a", "", came_ms=3000)
    with pytest.raises(LeaseHeld):
        await in_room(backend, "two", 2000)


async def test_two_devices_do_not_fight(backend: Backend, world: World) -> None:
    """For ten seconds the room that lost it waits, and is told for how long."""
    await in_room(backend, "one", 1000)
    second = await in_room(backend, "two", 2000)

    with pytest.raises(LeaseHeld) as held:
        await in_room(backend, "one", 3000)
    assert 3000 < held.value.wait_ms <= 10_000
    assert held.value.has_moved

    await world.pass_time(9)
    await backend.renew(second.lease)
    with pytest.raises(LeaseHeld):
        await in_room(backend, "one", 3000)
    await world.pass_time(1)
    assert (await in_room(backend, "one", 3000)).id == second.id


async def test_a_room_that_is_left_is_no_rival(backend: Backend) -> None:
    """Who goes back at once finds the agent there at once."""
    await in_room(backend, "one", 1000)
    second = await in_room(backend, "two", 2000)
    await backend.leave(second.lease)
    assert (await in_room(backend, "one", 3000)).id == second.id


async def test_who_left_the_newest_room_may_wait_in_the_one_before(backend: Backend) -> None:
    """A watcher looks at once; its claim breaks even the live lease of the room that was left."""
    await in_room(backend, "one", 1000)
    second = await in_room(backend, "two", 2000)
    await backend.leave(second.lease)

    assert await is_due(backend, MARIA, second.id)
    settled = await backend.settle(MARIA, second.id)
    assert settled.outcome is SettleOutcome.OVERDUE
    answer, events = await claim(backend, second, "one")

    assert (answer, kinds(events)) == (AgentPresence.WANTED, ["lease_lost"])
    with pytest.raises(LeaseLost):
        await backend.renew(second.lease)
    back = await in_room(backend, "one", 1000)
    assert (back.id, back.outcome) == (second.id, JoinOutcome.REJOINED)


async def test_nobody_died_where_the_participant_went_back(backend: Backend) -> None:
    """However often somebody goes from room to room, an agent is dispatched."""
    job = await in_room(backend, "one", 1000)
    for number in range(2, 8):
        job = await in_room(backend, f"room {number}", 1000 * number)
        await backend.leave(job.lease)
        answer, _ = await claim(backend, job, "one")
        assert answer is AgentPresence.WANTED


async def test_one_look_is_enough_if_nobody_waits(backend: Backend) -> None:
    """Afterwards the window decides, as if there had been one room."""
    await in_room(backend, "one", 1000)
    second = await in_room(backend, "two", 2000)
    await backend.leave(second.lease)
    await backend.release(second.lease)
    answer, _ = await backend.claim_orphan(
        MARIA, second.id, owner="", idempotency_key=nonce(), absent=True
    )
    assert answer is AgentPresence.ABSENT
    assert (await backend.settle(MARIA, second.id)).outcome is SettleOutcome.LATER
    assert not await is_due(backend, MARIA, second.id)


async def test_a_live_lease_stays_where_the_participant_is(backend: Backend) -> None:
    """A claim for another room breaks nothing as long as the participant is in the holder's."""
    job = await in_room(backend, "one", 1000)
    answer, events = await claim(backend, job, "two")
    assert (answer, kinds(events)) == (AgentPresence.PRESENT, [])


async def claim(backend: Backend, job: Job, room: str) -> tuple[AgentPresence, Sequence[Event]]:
    """Claim a session for a participant who waits in a room."""
    answer, events = await backend.claim_orphan(
        MARIA, job.id, owner="", idempotency_key=nonce(), room=room
    )
    return answer, events


async def test_each_agent_has_its_own_conversation(backend: Backend) -> None:
    """Sales and support know one participant, and nothing of what was said to the other."""
    sales = await join(backend, scope="sales")
    support = await join(backend, scope="support")
    assert sales.id != support.id

    for job in (sales, support):
        await job.away()
    assert (await join(backend, scope="sales")).id == sales.id
    assert (await join(backend, scope="support")).id == support.id
    # An operator's tools name no scope.
    newest, _ = await open_session(backend)
    assert newest.session.id == support.id
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 2


async def test_a_record_without_a_scope_is_everybody_s_until_somebody_goes_on_with_it(
    backend: Backend,
) -> None:
    """Such are the records of earlier versions."""
    old = await join(backend)
    await old.away()
    assert (await join(backend, scope="sales")).id == old.id
    assert (await join(backend, scope="support")).id != old.id


async def test_a_session_that_is_named_goes_on_whatever_its_scope(backend: Backend) -> None:
    """A dispatch names the session, and the gateway chose it."""
    sales = await join(backend, scope="sales")
    await sales.away()
    same = await join(backend, wanted=sales.id, exact=True, scope="support")
    assert same.id == sales.id
    await same.away()
    assert (await join(backend, scope="sales")).id == sales.id


async def test_the_newest_of_a_scope_is_found_although_another_scope_is_newer(
    backend: Backend,
) -> None:
    """And a switch to an older one makes that the newest of its scope."""
    old = await join(backend, scope="sales")
    await old.away()
    new, _ = await open_session(backend, mode=OpenMode.NEW, scope="sales")
    await (await join(backend, scope="support")).away()

    again, _ = await open_session(backend, scope="sales")
    assert again.session.id == new.session.id
    await open_session(backend, mode=OpenMode.SWITCH, wanted=old.id)
    again, _ = await open_session(backend, scope="sales")
    assert again.session.id == old.id


async def test_a_scope_whose_newest_session_was_deleted_begins_anew(backend: Backend) -> None:
    """It does not take a session of another scope instead."""
    sales = await join(backend, scope="sales")
    support = await join(backend, scope="support")
    await backend.delete(MARIA, sales.id)
    fresh = await join(backend, scope="sales")
    assert fresh.id not in {sales.id, support.id}
    assert fresh.outcome is JoinOutcome.CREATED


async def test_a_store_that_lost_everything_has_another_mark(world: World) -> None:
    """A session that was deleted leaves the mark of its shard; so does an erasure."""
    backend = world.backend
    job = await join(backend)
    await backend.delete(MARIA, job.id)
    await backend.erase(MARIA, "k-1", [job.id])
    assert await backend.mark(MARIA) == job.found.mark != ""

    await world.empty()

    assert await backend.mark(MARIA) != job.found.mark
    assert (await join(backend)).found.mark != job.found.mark


async def test_a_session_that_could_not_be_opened_is_left_as_it_was(
    backend: Backend, world: World
) -> None:
    """Nobody is sent there, and its window closes when it would have closed before the join."""
    job = await join(backend)
    await job.away()
    await world.pass_time(200)
    again = await join(backend)
    await backend.put_back(again.lease)

    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.LATER
    assert await backend.expect_agent(MARIA, job.id, claim=False) is AgentPresence.ABSENT
    assert (await backend.load(MARIA, job.id, last=0)) is not None
    await world.pass_time(150)
    assert (await backend.settle(MARIA, job.id)).outcome is SettleOutcome.ENDED
