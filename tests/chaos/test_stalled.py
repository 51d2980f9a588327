"""Jobs and a Redis that stand still for a while, and go on as if no time had passed."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from dev.rig.net import NET_S
from dev.rig.notes import Kind
from dev.rig.programs import until
from dev.rig.timeline import Timeline
from session_store import EventType
from tests.chaos.conftest import LONG
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")

STALL_S = 4.0
"""More than a lease: every lease runs out."""
PEOPLE = 10 if LONG else 4


async def is_drafted(stand: Stand, person: Person) -> bool:
    """Return whether Redis has a draft of what the agent is saying."""
    drafts = (await stand.loaded(person)).drafts
    return any(draft.turn.role == "assistant" for draft in drafts)


async def test_a_job_that_stalls_and_wakes_leaves_in_silence(stand: Stand) -> None:
    """Its successor has the conversation; not one word of its own is heard or recorded."""
    async with stand.person(listens=True) as person:
        await person.come()
        await person.ask("my name is Maria")
        stalled = await stand.until_alone_with_one_agent(person)
        begun = time.monotonic()
        person.type("what can you do?")
        await person.first_words(begun)
        # Words that are in no draft yet would come in late, when the job wakes.
        async with asyncio.timeout(NET_S):
            while not await is_drafted(stand, person):
                await asyncio.sleep(0.02)
        job = stand.job_of(person)
        at = job.pause()
        asked = person.type("what is my name?")
        hello = await person.notes.first(Kind.HELLO, after=at)
        assert hello.fields.get("back")
        assert (await person.answer(asked))["text"] == "Your name is Maria."
        await asyncio.sleep(max(0.0, at + 10 - time.monotonic()))
        assert await stand.until_alone_with_one_agent(person) != stalled
        before = len(await stand.recorded(person))
        async with stand.watch(person) as room:
            woken = job.resume()
            await until(lambda: not job.runs, "the stalled job has left")
            await asyncio.sleep(2)
            assert stalled not in room.ever()
            assert room.most == 1
        words = person.notes.of(
            Kind.WORDS, Kind.TURN, Kind.SOUND, Kind.HELLO, Kind.SAVED, after=woken
        )
        assert [note for note in words if note.who == stalled] == []
        assert len(await stand.recorded(person)) == before
        await person.ask("what is my name, once more?")
        await all_is_well(stand, person)


async def test_a_stall_of_redis_replaces_nobody(stand: Stand) -> None:
    """All leases run out; everybody goes on with the agent they have, and nothing is lost."""
    async with AsyncExitStack() as stack:
        timeline = await stack.enter_async_context(Timeline(stand.store))
        people = [await stack.enter_async_context(stand.person()) for _ in range(PEOPLE)]
        for person in people:
            await person.come()
            await person.notes.first(Kind.HELLO)
        await asyncio.gather(*(person.ask("my name is Maria") for person in people))
        agents = [await stand.until_alone_with_one_agent(person) for person in people]
        at = time.monotonic()
        stand.redis.pause()
        asked = [person.type("what is my name?") for person in people]
        await asyncio.sleep(STALL_S)
        stand.redis.resume()
        for person, message in zip(people, asked, strict=True):
            await person.answer(message)
        # Watchers that had lost contact trust it again after two leases.
        await asyncio.sleep(8)
        for person, agent in zip(people, agents, strict=True):
            await all_is_well(stand, person)
            assert person.agents == [agent]
            assert person.notes.of(Kind.AGENT_CAME, Kind.AGENT_LEFT, Kind.DROPPED, after=at) == []
        assert timeline.of(EventType.TAKEOVER, after=at) == []
        assert timeline.of(EventType.HANDOFF, after=at) == []
