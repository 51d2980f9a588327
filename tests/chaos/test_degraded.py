"""Redis away at the beginning, in the middle and at the end of a conversation, and back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from livekit import api

from dev.rig.audit import audit
from dev.rig.key_file import write_key_file
from dev.rig.notes import Kind
from dev.rig.programs import until
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def hears(person: Person, text: str, after: float) -> None:
    """Wait for a sentence of the agent's in the record, saved or not."""
    await person.notes.first(Kind.TURN, after=after, where=lambda note: note.fields["text"] == text)


async def test_a_conversation_that_begins_without_redis_is_saved_later(stand: Stand) -> None:
    """A new participant is admitted and answered; each turn arrives once when Redis is back."""
    async with stand.person() as person:
        stand.redis.kill()
        at = time.monotonic()
        await person.come()
        assert person.answers[0]["saved"] is False
        person.type("my name is Maria")
        await hears(person, "Nice to meet you, Maria. I will remember your name.", at)
        assert person.saved == {}
        await asyncio.to_thread(stand.redis.revive)
        await until(lambda: len(person.saved) == len(person.turns), "all is saved")
        assert (await person.ask("what is my name?"))["text"] == "Your name is Maria."
        found = await all_is_well(stand, person)
        assert found.acknowledged >= 4


async def test_somebody_new_is_talked_to_while_redis_is_full(stand: Stand) -> None:
    """Nothing can be written of them, not even that they came, until there is room; then all is."""
    async with stand.person() as person:
        at = time.monotonic()
        with stand.redis.client() as client:
            client.config_set("maxmemory", "1")
            try:
                await person.come()
                assert person.answers[0]["saved"] is False
                person.type("my name is Maria")
                await hears(person, "Nice to meet you, Maria. I will remember your name.", at)
            finally:
                client.config_set("maxmemory", "0")
        await until(lambda: len(person.saved) == len(person.turns), "all is saved")
        assert (await person.ask("what is my name?"))["text"] == "Your name is Maria."
        await all_is_well(stand, person)


async def test_who_comes_back_without_redis_finds_the_history_merged(stand: Stand) -> None:
    """What was said before, and while Redis was away, is one record in the end."""
    async with stand.person() as person:
        await person.come()
        await person.ask("my name is Maria")
        await all_is_well(stand, person)
        await person.leave()
        await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
        await asyncio.sleep(3)
        stand.redis.kill()
        at = time.monotonic()
        await person.reload()
        assert person.answers[-1]["saved"] is False
        asked = person.type("remember that my cat is called Tom")
        await person.notes.first(
            Kind.TURN, after=at, where=lambda note: note.fields["role"] == "assistant"
        )
        await asyncio.to_thread(stand.redis.revive)
        await person.answer(asked)
        await all_is_well(stand, person)
        texts = [each.turn.text for each in await stand.recorded(person)]
        assert texts.index("my name is Maria") < texts.index("remember that my cat is called Tom")
        assert (await person.ask("what is my name?"))["text"] == "Your name is Maria."


async def test_a_redis_that_crashes_in_the_middle_is_caught_up_with(stand: Stand) -> None:
    """Killed and started again with its append-only file, it gets what it missed, once."""
    async with stand.person() as person:
        await person.come()
        await person.ask("my name is Maria")
        agent = await stand.until_alone_with_one_agent(person)
        at = time.monotonic()
        stand.redis.kill()
        asked = person.type("what is my name?")
        await hears(person, "Your name is Maria.", at)
        assert asked not in person.saved
        await asyncio.sleep(6)
        await asyncio.to_thread(stand.redis.revive)
        await person.answer(asked)
        await all_is_well(stand, person)
        assert person.agents == [agent]


async def test_a_conversation_that_ends_without_redis_is_brought_in_from_the_spool(
    stand: Stand,
) -> None:
    """A job that ended with unsaved turns leaves them behind; the worker writes them, once."""
    async with stand.person() as person:
        await person.come()
        await person.ask("my name is Maria")
        at = time.monotonic()
        stand.redis.kill()
        asked = person.type("what is my name?")
        await hears(person, "Your name is Maria.", at)
        job = stand.job_of(person)
        await person.leave()
        await stand.api.room.delete_room(api.DeleteRoomRequest(room=person.session_id))
        await until(lambda: not job.runs, "the job has ended")
        assert list(stand.spool.iterdir()) != []
        await asyncio.to_thread(stand.redis.revive)
        await until(lambda: list(stand.spool.iterdir()) == [], "the spool is empty")
        recorded = await stand.recorded(person)
        assert [each.turn.id for each in recorded].count(asked) == 1
        assert recorded[-1].turn.text == "Your name is Maria."
        assert audit(person, recorded)[1:] == (0, 0)


async def test_a_worker_that_starts_without_redis_takes_conversations(
    without_workers: Stand,
) -> None:
    """The conversation does not wait for Redis; it is saved when Redis is back."""
    stand = without_workers
    async with stand.person() as person:
        stand.redis.kill()
        started = await stand.add_worker()
        at = time.monotonic()
        await person.come()
        person.type("my name is Maria")
        await hears(person, "Nice to meet you, Maria. I will remember your name.", at)
        await asyncio.to_thread(stand.redis.revive)
        await until(lambda: len(person.saved) == len(person.turns), "all is saved")
        assert started.runs
        await all_is_well(stand, person)


async def test_a_worker_with_other_keys_ends_when_redis_is_back(without_workers: Stand) -> None:
    """Its conversations could never be found again under the shared keys."""
    stand = without_workers
    stand.redis.kill()
    keys = write_key_file(stand.folder / "other-keys.json")
    started = await stand.add_worker(REJOIN_KEY_FILE=str(keys))
    await asyncio.to_thread(stand.redis.revive)
    await until(lambda: not started.runs, "it has ended")
    said = [str(each.get("reason")) for each in started.records()]
    assert any("put the earlier key back" in each for each in said)
