"""How long a job waits for a lease that another job holds, in virtual time."""

from __future__ import annotations

from session_store.errors import LeaseHeld
from session_store.livekit.job.lease_wait import ASK_EVERY_S, MOST_LEASES, LeaseWait
from tests.unit.virtual_time import in_virtual_time, now_s

LEASE_S = 3.0


async def wait_out(wait: LeaseWait) -> float:
    """Find the lease held again and again; return how long it took until it raised."""
    begun = now_s()
    while now_s() - begun < 100:
        try:
            await wait.pause(LeaseHeld("session", 500))
        except LeaseHeld:
            return now_s() - begun
    raise AssertionError("it waits for ever")


def test_a_living_holder_keeps_its_lease() -> None:
    """The wait ends with the error once two leases have passed, and not before."""

    async def scene() -> None:
        waited_s = await wait_out(LeaseWait(LEASE_S))
        assert MOST_LEASES * LEASE_S < waited_s < MOST_LEASES * LEASE_S + 1

    in_virtual_time(scene())


def test_one_pause_lasts_until_the_lease_may_be_free() -> None:
    """Until it has run out, or for a moment: its holder may give it back at any time."""

    async def scene() -> None:
        begun = now_s()
        await LeaseWait(LEASE_S).pause(LeaseHeld("session", 100))
        assert 0.1 < now_s() - begun < 0.2
        begun = now_s()
        await LeaseWait(LEASE_S).pause(LeaseHeld("session", 60_000))
        assert round(now_s() - begun, 3) == ASK_EVERY_S

    in_virtual_time(scene())


def test_a_room_that_lost_it_a_moment_ago_waits_until_it_may_have_it_back() -> None:
    """That is longer than a lease, and the wait for a dead holder begins only then.

    Meanwhile it asks again and again: the other room may be left at any time.
    """

    async def scene() -> None:
        wait, begun = LeaseWait(LEASE_S), now_s()
        while (left_s := 9 - (now_s() - begun)) > 0:
            before = now_s()
            await wait.pause(LeaseHeld("session", int(left_s * 1000), has_moved=True))
            assert round(now_s() - before, 3) <= ASK_EVERY_S
        assert 9 <= now_s() - begun < 9.1
        assert await wait_out(wait) > MOST_LEASES * LEASE_S

    in_virtual_time(scene())


def test_an_outage_gives_the_holder_its_time_again() -> None:
    """While the store was away, no holder could renew its lease."""

    async def scene() -> None:
        wait, begun = LeaseWait(LEASE_S), now_s()
        while now_s() - begun < MOST_LEASES * LEASE_S - 1:
            await wait.pause(LeaseHeld("session", 500))
        wait.reset()
        assert await wait_out(wait) > MOST_LEASES * LEASE_S

    in_virtual_time(scene())
