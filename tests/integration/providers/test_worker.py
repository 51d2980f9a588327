"""A whole worker on the OpenAI pipeline: a room, a voice, a page, and a provider that fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from dev.rig.notes import Kind
from dev.rig.programs import until
from dev.rig.providers.fake_openai import CHAT, SPEECH, FakeOpenAI
from dev.rig.stand import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dev.rig.notes import Note
    from dev.rig.person import Person
    from dev.rig.stand import Stand

pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_ANSWER = "I can't answer right now. I'll keep trying, and answer as soon as I can."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FakeOpenAI]:
    """Run OpenAI, as it were."""
    async with FakeOpenAI() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeOpenAI
) -> AsyncIterator[Stand]:
    """Run a worker that asks it, as an operator starts one."""
    folder = tmp_path_factory.mktemp("worker")
    async with running(
        folder, workers=0, AGENT_PIPELINE="openai", OPENAI_BASE_URL=provider.url
    ) as stand:
        worker = await stand.add_worker(ready=False)
        await until(worker.has_idle_process, "the worker is ready")
        yield stand


@pytest.fixture(autouse=True)
def provider_works(provider: FakeOpenAI) -> Iterator[None]:
    """Mend the provider behind each test: one that fails in an outage must not break the next."""
    yield
    provider.mend()


async def _notice(person: Person, text: str, *, after: float = 0.0) -> Note:
    return await person.notes.first(
        Kind.NOTICE,
        after=after,
        where=lambda note: note.fields["text"] == text,
    )


async def test_who_talks_through_an_outage_keeps_agent_and_answer(
    stand: Stand, provider: FakeOpenAI
) -> None:
    """The agent says that it cannot think, in another voice if need be, and answers when it can."""
    async with stand.person(listens=True) as person:
        await person.come()
        answer = await person.ask("my cat is called Tom")
        assert answer["text"] == "I heard: my cat is called Tom."
        agent = person.agent
        # What is heard from here on is not the end of that answer.
        await person.silence()
        provider.refuses = {CHAT: 500, SPEECH: 500}
        silent = time.monotonic()
        asked = person.type("what have I said?")
        await _notice(person, NO_ANSWER)
        await person.notes.first(Kind.SOUND, after=silent)
        await until(lambda: asked in person.saved, "the question is saved")
        before = provider.count(CHAT)
        await until(lambda: provider.count(CHAT) > before, "it is tried again")
        provider.mend()
        answer = await person.answer(asked)
        assert answer["text"] == "You said: my cat is called Tom."
        assert person.agent == agent
        said = [each.turn.text for each in await stand.recorded(person)]
        assert NO_ANSWER not in said
        # The page did not show it as words of the conversation, either.
        assert not person.notes.of(Kind.WORDS, where=lambda note: "cannot" in note.fields["text"])


async def test_the_history_reaches_the_provider_after_a_death(
    stand: Stand, provider: FakeOpenAI
) -> None:
    """A killed job's successor sends what was said before, and so does a job after a reload."""
    async with stand.person() as person:
        await person.come()
        await person.ask("my cat is called Tom")
        killed = stand.job_of(person).kill()
        await person.notes.first(Kind.HELLO, after=killed)
        answer = await person.ask("what have I said?")
        assert answer["text"] == "You said: my cat is called Tom."
        await person.reload()
        await person.ask("my dog is called Rex")
        assert provider.said_by("user") == [
            "my cat is called Tom",
            "what have I said?",
            "my dog is called Rex",
        ]
