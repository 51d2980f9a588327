"""Jobs and workers that are killed: a participant notices a pause, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from dev.rig.microphones import Microphones
from dev.rig.notes import Kind, Note
from dev.rig.programs import until
from tests.chaos.conftest import LONG
from tests.chaos.verdict import all_is_well

if TYPE_CHECKING:
    from dev.rig.person import Person
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITTEN_WITHIN_S = 0.8
"""What was spoken so long before a kill is in the record: a draft is written every 0.25 s."""


async def a_talk(stand: Stand, person: Person) -> str:
    """Let a person come and talk; return the agent."""
    await person.come()
    await person.ask("my name is Maria")
    return await stand.until_alone_with_one_agent(person)


@pytest.mark.parametrize("whole_worker", [False, True], ids=["job", "worker"])
async def test_a_killed_agent_is_replaced(stand: Stand, *, whole_worker: bool) -> None:
    """The successor answers what was asked at the kill; it does not greet, and is alone."""
    async with stand.person() as person:
        dead = await a_talk(stand, person)
        async with stand.watch(person) as room:
            job = stand.job_of(person)
            at = job.worker.kill() if whole_worker else job.kill()
            answer = await person.answer(person.type("what is my name?"))
            assert answer["text"] == "Your name is Maria."
            await all_is_well(stand, person)
        assert room.most == 1
        assert dead not in person.agents
        hello = person.notes.of(Kind.HELLO, after=at)
        assert [note.fields.get("back") for note in hello] == [True]
        assert person.texts("assistant")[-1] == answer["text"]
        assert stand.field_of(person, "reconnect_count") == "0"


def written(person: Person, asked: float, at: float) -> str:
    """Return the words of an answer that are in the record at this moment."""
    return "".join(
        note.fields["text"]
        for note in person.notes.of(Kind.WORDS, after=asked)
        if note.at < at - WRITTEN_WITHIN_S
    )


async def test_what_the_agent_was_saying_when_it_was_killed_is_in_the_record(stand: Stand) -> None:
    """Its words up to the kill are there, marked as interrupted, for the page and in Redis."""
    async with stand.person() as person:
        await a_talk(stand, person)
        asked = time.monotonic()
        person.type("what can you do?")
        await until(
            lambda: len(written(person, asked, time.monotonic()).split()) > 3,
            "a few words of the answer are in the record",
        )
        at = stand.job_of(person).kill()
        heard = written(person, asked, at)
        await person.notes.first(Kind.HELLO, after=at)
        await person.ask("what is my name?")
        await all_is_well(stand, person)
        cut = [each.turn for each in await stand.recorded(person) if each.turn.interrupted]
        assert [turn.text.startswith(heard.strip()) for turn in cut] == [True], (heard, cut)
        shown = [turn for turn in person.turns.values() if turn["interrupted"]]
        assert [turn["text"] for turn in shown] == [cut[0].text]


async def say(person: Person, words: str) -> None:
    """Say words until an agent understands them.

    On a busy machine, sound has gaps: the agent hears other words, or none. It may also be replaced
    before it has heard them.
    """

    def is_understood(note: Note) -> bool:
        return bool(note.fields["mine"]) and note.fields["text"] == words

    for _ in range(3):
        at = time.monotonic()
        await person.say(words)
        with suppress(AssertionError):
            await person.notes.first(Kind.WORDS, after=at, where=is_understood, within_s=20)
            return
    raise AssertionError(f"no agent understands:\n{person.notes.told()}")


NAME_ASKED = ("What is my name?", "Who am I?", "Do you know my name?", "Do you remember my name?")
"""Nobody asks twice with the same words, because the same words twice in the record are a fault."""


async def killed_before_its_answer(stand: Stand, person: Person) -> list[str]:
    """Ask, kill the agent that understood it, and await the answer; return all that was asked.

    A busy machine may bring the kill so late that the agent has begun to answer: one more try.
    """
    for tries, words in enumerate(NAME_ASKED, 1):
        await say(person, words)
        await asyncio.sleep(0.1)
        at = stand.job_of(person).kill()
        answer = await person.notes.first(
            Kind.TURN,
            after=at,
            where=lambda note: note.fields["role"] == "assistant" and note.fields["first"],
        )
        if not answer.fields["interrupted"]:
            assert answer.fields["text"] == "Your name is Maria."
            return list(NAME_ASKED[:tries])
        await stand.until_alone_with_one_agent(person)
    raise AssertionError(f"no kill came before the answer:\n{person.notes.told()}")


async def test_what_somebody_was_saying_when_their_agent_was_killed_is_in_the_record(
    stand: Stand,
) -> None:
    """Spoken words without an answer yet are recorded once, and answered."""
    async with stand.person(microphone=Microphones.OPEN) as person:
        await a_talk(stand, person)
        asked = await killed_before_its_answer(stand, person)
        await all_is_well(stand, person)
        mine = [each.turn for each in await stand.recorded(person) if each.turn.role == "user"]
        # What no agent seemed to understand was said again, and may have been understood after all.
        assert list(dict.fromkeys(turn.text for turn in mine if turn.text in NAME_ASKED)) == asked
        assert mine[-1].text == asked[-1]


async def test_watchers_that_see_the_same_send_one_successor(stand: Stand) -> None:
    """Every worker sees each lost lease, and tries; each person gets one agent, never a second."""
    await stand.add_worker()
    dying = stand.workers[0]
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(stand.person_of(dying)) for _ in range(2)]
        rooms = [await stack.enter_async_context(stand.watch(person)) for person in people]
        at = dying.kill()
        for person in people:
            await person.notes.first(Kind.HELLO, after=at)
        # The slowest watcher would have sent its own by then.
        await asyncio.sleep(8 if LONG else 4)
        for person, room in zip(people, rooms, strict=True):
            await all_is_well(stand, person)
            assert room.most == 1
            came = {note.who for note in person.notes.of(Kind.AGENT_CAME, after=at)}
            assert len(came) == 1
        asked = [
            record["room"]
            for worker in stand.workers
            for record in worker.records()
            if record.get("message") == "received job request"
        ]
        assert [asked.count(person.session_id) for person in people] == [2, 2]


async def test_a_job_that_dies_before_it_has_the_conversation_is_replaced(stand: Stand) -> None:
    """A participant whose first agent never came gets another one."""
    worker = stand.workers[0]
    stand.workers[1].kill()
    async with stand.person() as person:
        idle = set(worker.pids()) - {worker.pid}
        await person.come()
        await until(
            lambda: any(
                record.get("room") == person.session_id
                and record.get("message") == "received job request"
                for record in worker.records()
            ),
            "the job is begun",
            poll_s=0.002,
        )
        for pid in worker.job_processes() & idle:
            worker.kill_process(pid)
        person.type("my name is Maria")
        await person.notes.first(Kind.SAVED)
        await all_is_well(stand, person)
