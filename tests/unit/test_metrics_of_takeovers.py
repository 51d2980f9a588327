"""Why agents are sent, how long takeovers take, and how joins end, as they are counted."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from livekit.protocol import agent, models

from session_store.backends.values import JoinOutcome
from session_store.errors import (
    InvalidValue,
    LeaseHeld,
    SealBroken,
    SessionEnded,
    SessionGone,
    StoreUnavailable,
    UnknownKey,
    UnknownSchema,
)
from session_store.livekit.job.entry_point import _enter
from session_store.livekit.job.joining import AWAY_AFTER_S
from session_store.livekit.job.participant import Coming, JobParticipant
from session_store.livekit.rooms.dispatch import Dispatch
from session_store.livekit.rooms.rooms import COMES_WITHIN_S, LiveKitRooms, Occupants
from session_store.livekit.telemetry.conversation_metrics import JOINED_AS, RESUMED_AS, failed_as
from session_store.settings import StoreSettings
from tests.counted import Counted
from tests.unit.test_takeover import EXPECTED_S, LEASE_S, NAME, Store, Watch, World
from tests.unit.virtual_time import in_virtual_time, now_s

if TYPE_CHECKING:
    from session_store.errors import SessionStoreError

REASONS = ("asked", "job_died", "lease_lost", "overdue")


def sent(counted: Counted) -> dict[str, float]:
    """Return how many agents were sent, by reason; without those for which none was."""
    values = {reason: counted.value("rejoin_dispatches_total", reason=reason) for reason in REASONS}
    return {reason: value for reason, value in values.items() if value}


def test_a_successor_is_sent_since_a_job_of_this_worker_died() -> None:
    """The worker saw it end."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        await world.dead_jobs.replace(world.dead(session))
        assert sent(world.counted) == {"job_died": 1}

    in_virtual_time(scene())


def test_a_successor_is_sent_since_a_lease_was_lost() -> None:
    """The holder elsewhere did not renew it; that is so however the watcher came to know."""

    async def scene() -> None:
        world = World()
        await world.talk()
        await Watch(world).run(for_s=LEASE_S + 1)
        assert sent(world.counted) == {"lease_lost": 1}
        other = World()
        session = await other.talk()
        await asyncio.sleep(LEASE_S + 1)
        await other.takeover.relieve(session)
        assert sent(other.counted) == {"lease_lost": 1}

    in_virtual_time(scene())


def test_a_successor_is_sent_since_one_is_overdue() -> None:
    """There was no lease that could have been lost."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        world.rooms.fill(session.session_id, [session.participant])
        await world.store.claim_orphan(*session, owner=world.owner)
        await Watch(world).run(for_s=EXPECTED_S + 1)
        assert sent(world.counted) == {"overdue": 1}

    in_virtual_time(scene())


def test_a_conversation_is_given_up_once() -> None:
    """After three replacements within a minute; it is not counted again with each sweep."""

    async def scene() -> None:
        world = World()
        session = await world.talk()
        for _ in range(3):
            await world.dead_jobs.replace(world.dead(session))
            await world.talk()
        await world.dead_jobs.replace(world.dead(session))
        await Watch(world).run(for_s=20)
        assert sent(world.counted) == {"job_died": 3}
        assert world.counted.value("rejoin_gave_up_total") == 1

    in_virtual_time(scene())


def test_a_takeover_lasts_from_the_last_renewal_to_the_successor_s_lease() -> None:
    """By the store's clock, whichever caller claimed in between."""

    async def scene() -> None:
        world = World()
        world.store.measure(world.counted.sink)
        await world.talk()
        await asyncio.sleep(2)
        await world.store.renew(world.joined.lease)
        await Watch(world).run(for_s=LEASE_S + 1)
        await asyncio.sleep(0.5)
        await world.talk()
        assert world.counted.value("rejoin_leases_lost_total") == 1
        assert world.counted.value("rejoin_takeovers_total") == 1
        seconds = world.counted.value("rejoin_takeover_seconds_sum")
        assert seconds == pytest.approx(LEASE_S + 1.5, abs=0.01)

    in_virtual_time(scene())


class Silent(LiveKitRooms):
    """Rooms in which no agent ever comes."""

    def __init__(self, counted: Counted) -> None:
        super().__init__("ws://nowhere", "key", "secret", meter=counted.sink)

    async def clear(self, *_: object) -> None:
        """Remove no one."""

    async def tell_people(self, *_: object) -> None:
        """Tell no one."""

    async def look(self, *_: object) -> Occupants:
        """See the same person each time."""
        return Occupants({"maria": {}}, ())

    async def exists(self, *_: object) -> bool:
        """Tell that it does."""
        return True

    async def _dispatch(self, *_: object) -> str:
        return "dispatch"

    async def _was_taken(self, *_: object) -> bool:
        return False


def test_agents_that_nobody_takes_are_sent_again() -> None:
    """The first one is none of the repetitions."""

    async def scene() -> None:
        counted = Counted()
        there = Occupants({"maria": {}}, ())
        dispatch = Dispatch("room", NAME, "")
        assert not await Silent(counted).bring(dispatch, there, within_s=3.5 * COMES_WITHIN_S)
        assert counted.value("rejoin_dispatch_retries_total") == 2

    in_virtual_time(scene())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (LeaseHeld("s", 1), "lease_held"),
        (SessionGone("s"), "gone"),
        (SessionEnded("s"), "gone"),
        (SealBroken("turn 1", "s"), "unreadable"),
        (UnknownKey("k"), "unreadable"),
        (UnknownSchema(9), "unreadable"),
        (InvalidValue("no"), "failed"),
    ],
)
def test_a_join_that_fails_is_counted_by_its_end(error: SessionStoreError, outcome: str) -> None:
    """Every kind of error has its label."""
    assert failed_as(error) == outcome


def test_every_outcome_of_a_join_is_counted() -> None:
    """None was forgotten when one was added."""
    assert set(JOINED_AS) == set(RESUMED_AS) == set(JoinOutcome)


class Refusing(Store):
    """A store whose joins fail for a while."""

    def __init__(self, error: SessionStoreError, *, until_s: float) -> None:
        super().__init__()
        self._error = error
        self._until_s = until_s
        self.tries = 0

    async def join(self, *args: Any, **kwargs: Any) -> Any:
        """Join, or fail."""
        self.tries += 1
        if now_s() < self._until_s:
            raise self._error
        return await super().join(*args, **kwargs)


@pytest.mark.parametrize(
    ("error", "for_s", "outcomes"),
    [
        (LeaseHeld("s", 500), 2.0, {"created"}),
        (LeaseHeld("s", 500), 100.0, {"lease_held"}),
        (StoreUnavailable("away"), AWAY_AFTER_S / 2, {"created"}),
        (StoreUnavailable("away"), 100.0, {"begun_without_store"}),
        # One that could not be read, and then one without the store.
        (SealBroken("turn 1", "s"), 100.0, {"unreadable", "begun_without_store"}),
    ],
)
def test_a_join_is_counted_once_however_often_it_is_tried(
    error: SessionStoreError, for_s: float, outcomes: set[str]
) -> None:
    """What it comes to in the end is what is counted."""

    async def scene() -> None:
        store, counted = Refusing(error, until_s=now_s() + for_s), Counted()
        store.measure(counted.sink)
        room = SimpleNamespace(
            name="room",
            remote_participants={},
            local_participant=SimpleNamespace(identity="agent-1"),
        )
        job = agent.Job(id="job", agent_name=NAME, room=models.Room(name="room"))
        context: Any = SimpleNamespace(
            room=room, job=job, worker_id="worker", is_fake_job=lambda: False
        )
        participant = JobParticipant("maria", store.pseudonym("maria"), None, {})
        setup: Any = SimpleNamespace(ctx=context, store=store, settings=StoreSettings(), scope=NAME)
        try:
            await _enter(setup, participant, Coming("load"))
        except type(error):
            pass
        values = {
            each: counted.value("rejoin_joins_total", outcome=each)
            for each in ("created", "lease_held", "begun_without_store", "unreadable", "failed")
        }
        assert {each: value for each, value in values.items() if value} == dict.fromkeys(
            outcomes, 1
        )
        assert store.tries > 1

    in_virtual_time(scene())
