"""Loops, backoff and rate limits, in virtual time."""

from __future__ import annotations

import asyncio
import logging

import pytest

from session_store.tasks import Backoff, Loop, RateLimit
from tests.unit.virtual_time import in_virtual_time, now_s


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now


def test_a_burst_passes_and_later_takers_wait_one_by_one() -> None:
    """As many tokens as come back in a second are there at once; later ones are promised."""
    limit = RateLimit(4.0, now=Clock())
    assert [limit.reserve() for _ in range(7)] == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_a_promised_token_counts_and_a_pause_brings_tokens_back() -> None:
    """A later taker gets a later token, and a bucket is never more than full."""
    clock = Clock()
    limit = RateLimit(2.0, now=clock)
    assert [limit.reserve() for _ in range(4)] == [0, 0, 0.5, 1.0]
    clock.now += 0.5
    assert limit.reserve() == 1.0
    clock.now += 100
    assert [limit.reserve() for _ in range(3)] == [0, 0, 0.5]


def test_a_slow_limit_lets_the_first_through_at_once() -> None:
    """Less than one token a second still means a bucket of one."""
    limit = RateLimit(0.5, now=Clock())
    assert [limit.reserve() for _ in range(2)] == [0, 2.0]


def test_a_refused_taker_takes_nothing() -> None:
    """``take`` answers how long to wait, and the wait does not grow with each refusal."""
    clock = Clock()
    limit = RateLimit(0.5, burst=3, now=clock)
    assert [limit.take() for _ in range(5)] == [0, 0, 0, 2.0, 2.0]
    clock.now += 2
    assert [limit.take(), limit.take()] == [0, 2.0]


def test_a_bucket_is_full_until_a_token_is_taken_and_when_it_came_back() -> None:
    """A full bucket can be forgotten: a new one is the same."""
    clock = Clock()
    limit = RateLimit(0.5, burst=3, now=clock)
    seen = [limit.is_full]
    limit.take()
    seen.append(limit.is_full)
    clock.now += 2
    seen.append(limit.is_full)
    assert seen == [True, False, True]


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success() -> None:
    """The first pause after a reset is the shortest."""
    backoff = Backoff(0.1, 0.5)
    begun = [backoff.has_begun]
    assert [backoff.next_s() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    begun.append(backoff.has_begun)
    backoff.reset()
    begun.append(backoff.has_begun)
    assert begun == [False, True, False]
    assert backoff.next_s() == 0.1


def test_jitter_spreads_each_pause_and_does_not_add_up() -> None:
    """Every pause lies within its bounds, however many there were before."""
    pauses: list[float] = []
    for _ in range(200):
        backoff = Backoff(1.0, 4.0, jitter=(0.5, 1.5))
        pauses = [backoff.next_s() for _ in range(4)]
        for pause, middle in zip(pauses, (1, 2, 4, 4), strict=True):
            assert 0.5 * middle <= pause <= 1.5 * middle
    assert len(set(pauses)) == 4


def test_a_loop_repeats_its_step_until_it_is_closed() -> None:
    """The pause lies between the end of one step and the start of the next."""
    seen: list[float] = []

    async def step() -> None:
        seen.append(now_s())
        await asyncio.sleep(1)

    async def scene() -> None:
        loop = Loop.every(2.0, step, name="test")
        loop.start()
        loop.start()
        await asyncio.sleep(6.5)
        ran = [loop.is_running]
        await loop.aclose()
        ran.append(loop.is_running)
        await asyncio.sleep(10)
        assert ran == [True, False]

    in_virtual_time(scene())
    assert [at - seen[0] for at in seen] == pytest.approx([0, 3, 6])


def test_a_step_that_raises_is_logged_and_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    """A defect must not end a loop that is missed much later."""
    steps = 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            raise ValueError

    async def scene() -> None:
        loop = Loop.every(1.0, step, name="test")
        loop.start()
        await asyncio.sleep(1.5)
        await loop.aclose()

    in_virtual_time(scene())
    assert steps == 2
    logged = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert logged == ["a background step failed; it runs again"]


def test_work_that_fails_is_logged_and_may_be_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A failure is heard though nothing awaits the task."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        raise ValueError

    async def scene() -> None:
        loop = Loop(work, name="test")
        loop.start()
        await asyncio.sleep(1)
        assert not loop.is_running
        loop.start()
        await asyncio.sleep(1)
        await loop.aclose()

    in_virtual_time(scene())
    assert begun == 2
    assert [record.message for record in caplog.records] == ["a background task failed"] * 2


def test_closing_a_loop_lets_its_work_end_by_itself_for_a_while() -> None:
    """After that time the work is cancelled; a loop that never ran is closed at once."""
    ended: list[str] = []

    async def work(takes_s: float) -> None:
        try:
            await asyncio.sleep(takes_s)
            ended.append("by itself")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def scene() -> None:
        for takes_s in (1.0, 3.0):
            loop = Loop(lambda takes_s=takes_s: work(takes_s), name="test")  # type: ignore[misc]
            await loop.aclose(within_s=2.0)
            loop.start()
            await asyncio.sleep(0)
            await loop.aclose(within_s=2.0)

    in_virtual_time(scene())
    assert ended == ["by itself", "cancelled"]
