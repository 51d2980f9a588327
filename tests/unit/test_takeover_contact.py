"""How long a watcher has been in contact, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from session_store.errors import StoreUnavailable
from session_store.livekit.worker.contact import Contact, ContactKeeper
from tests.unit.virtual_time import in_virtual_time, now_s


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now


def test_contact_begins_with_the_first_answer() -> None:
    """At its start a process has had no contact, however long its clock has run."""
    clock = Clock()
    contact = Contact(1.0, now=clock)
    clock.now += 100
    assert contact.lasts_s == 0
    contact.heard()
    assert contact.lasts_s == 0
    clock.now += 0.5
    assert contact.lasts_s == 0.5


def test_contact_lasts_over_answers_that_follow_each_other() -> None:
    """It counts from the first answer, not from the last."""
    clock = Clock()
    contact = Contact(1.0, now=clock)
    for _ in range(20):
        contact.heard()
        clock.now += 0.75
    assert contact.lasts_s == 15


def test_silence_breaks_contact_before_anybody_has_noted_it() -> None:
    """A process that was stopped finds no contact when it wakes, and begins to count anew."""
    clock = Clock()
    contact = Contact(1.0, now=clock)
    contact.heard()
    clock.now += 1.25
    assert contact.lasts_s == 0
    contact.heard()
    clock.now += 0.25
    assert contact.lasts_s == 0.25


def test_a_failure_breaks_contact() -> None:
    """One error is enough, even if the next call succeeds at once."""
    clock = Clock()
    contact = Contact(1.0, now=clock)
    contact.heard()
    clock.now += 0.5
    contact.lost()
    assert contact.lasts_s == 0
    contact.heard()
    clock.now += 0.25
    assert contact.lasts_s == 0.25


class Store:
    """A store that answers as slowly as it is told, or not."""

    def __init__(self) -> None:
        self.takes_s = 0.01
        self.fails = False

    async def ping(self) -> None:
        """Answer, in virtual time."""
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise StoreUnavailable("away")


@pytest.mark.parametrize("trouble", ["slow", "fails"])
def test_the_keeper_notes_what_the_store_does(trouble: str) -> None:
    """Contact lasts while the store answers in time, breaks when it does not, and comes back."""

    async def scene() -> None:
        store = Store()
        keeper = ContactKeeper("the store", store.ping, longest_gap_s=1.0)
        keeper.contact._now = now_s
        keeper.start()
        await asyncio.sleep(10)
        assert 9 < keeper.contact.lasts_s <= 10
        store.takes_s, store.fails = (4.0, False) if trouble == "slow" else (0.01, True)
        await asyncio.sleep(3)
        assert keeper.contact.lasts_s == 0
        store.takes_s, store.fails = 0.01, False
        await asyncio.sleep(8)
        assert 5 < keeper.contact.lasts_s <= 8
        await keeper.aclose()

    in_virtual_time(scene())
