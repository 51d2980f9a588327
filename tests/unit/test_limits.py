"""Token buckets of the gateway, in virtual time."""

from __future__ import annotations

import pytest

from gateway.limits import CallerLimits, caller_at


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_burst_is_let_through_and_then_one_by_one() -> None:
    """After the burst a caller waits for a token, and is told for how long."""
    clock = Clock()
    limits = CallerLimits(30, 3, now=clock)
    assert [limits.take("me") for _ in range(4)] == [0, 0, 0, 2]
    assert limits.take("me") == 2, "being refused costs nothing"
    clock.now += 2
    assert [limits.take("me"), limits.take("me")] == [0, 2]
    clock.now += 3600
    assert [limits.take("me") for _ in range(4)] == [0, 0, 0, 2]


def test_callers_have_buckets_of_their_own() -> None:
    """Who asks too often takes nothing from others."""
    limits = CallerLimits(1, 1, now=Clock())
    assert [limits.take("a"), limits.take("a"), limits.take("b")] == [0, 60, 0]


def test_zero_bounds_nothing() -> None:
    """Where the limit is set to 0, everybody is let through."""
    limits = CallerLimits(0, 1, now=Clock())
    assert [limits.take("a") for _ in range(100)] == [0] * 100


def test_only_those_are_remembered_who_asked_lately() -> None:
    """However many callers come, memory holds those whose bucket is not full."""
    clock = Clock()
    limits = CallerLimits(60, 5, now=clock)
    for number in range(30_000):
        clock.now += 0.01
        limits.take(number)
    assert len(limits._buckets) <= 10_001


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        (None, ""),
        ("testclient", ""),
    ],
)
def test_an_address_is_counted_by_what_one_household_has(address: str | None, caller: str) -> None:
    """One IPv4 address, or one IPv6 network."""
    assert caller_at(address) == caller
