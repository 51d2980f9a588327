"""A room with a waiting person has exactly one agent, whatever becomes of the first dispatch."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from dev.rig.notes import Kind
from tests.chaos.conftest import only_long
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def is_served(stand: Stand, person: Person) -> None:
    """Assert that a person who waited gets one agent, and keeps it."""
    await person.notes.first(Kind.SAVED)
    async with stand.watch(person) as room:
        await all_is_well(stand, person)
        await asyncio.sleep(3)
        assert room.most == 1
        assert len(room.ever()) == 1


async def test_who_comes_to_a_full_worker_gets_an_agent_later(without_workers: Stand) -> None:
    """The dispatch finds no worker; as soon as a worker has room, one agent comes."""
    stand = without_workers
    full = await stand.add_worker(AGENT_MAX_JOBS="1")
    async with stand.person() as first, stand.person() as second:
        await first.come()
        await first.ask("my name is Maria")
        await second.come()
        second.type("my name is Anna")
        await asyncio.sleep(3)
        assert second.agents == []
        assert full.job_of(second.session_id) is None
        await stand.add_worker(AGENT_MAX_JOBS="1")
        await is_served(stand, second)
        await all_is_well(stand, first)


async def test_who_comes_before_any_worker_gets_an_agent_later(without_workers: Stand) -> None:
    """A worker that starts later finds the participant who has waited."""
    stand = without_workers
    async with stand.person() as person:
        await person.come()
        person.type("my name is Maria")
        await asyncio.sleep(3)
        assert person.agents == []
        for worker in stand.workers:
            worker.start()
        await is_served(stand, person)


async def test_who_comes_while_the_only_worker_drains_gets_an_agent_later(
    without_workers: Stand,
) -> None:
    """A draining worker keeps its conversations and takes no new ones; the next one does."""
    stand = without_workers
    draining = await stand.add_worker()
    async with stand.person() as first, stand.person() as second:
        await first.come()
        await first.ask("my name is Maria")
        draining.ask_to_end()
        await asyncio.sleep(1)
        await second.come()
        second.type("my name is Anna")
        await asyncio.sleep(3)
        assert second.agents == []
        await stand.add_worker()
        await is_served(stand, second)
        await first.ask("what is my name?")
        await all_is_well(stand, first)


@only_long
async def test_a_dispatch_that_nobody_heard_is_repeated(stand: Stand) -> None:
    """Workers that stood still when they were asked send an agent when they go on."""
    async with stand.person() as person:
        for worker in stand.workers:
            worker.pause()
        at = time.monotonic()
        await person.come()
        person.type("my name is Maria")
        await asyncio.sleep(8)
        assert person.notes.of(Kind.HELLO, after=at) == []
        for worker in stand.workers:
            worker.resume()
        await is_served(stand, person)
