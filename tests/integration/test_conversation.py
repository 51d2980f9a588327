"""A conversation through reloads, outages and ends, on a real store."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from livekit.agents import llm

from session_store import LeaseHeld, SessionState, StoreUnavailable
from tests.integration.stage import Stage
from tests.integration.test_recorder import away, back
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from session_store import Loaded, SessionStore, StoreSettings


@pytest_asyncio.fixture
async def stage(store: SessionStore, settings: StoreSettings) -> AsyncIterator[Callable[[], Stage]]:
    """Set up jobs for the same participant, one after another."""
    stages: list[Stage] = []

    def set_up() -> Stage:
        stages.append(Stage(store, settings))
        return stages[-1]

    yield set_up
    for each in stages:
        await each.end()


async def stored(stage: Stage) -> Loaded:
    """Return what the store has of the conversation."""
    loaded = await stage.store.load(stage.participant, stage.conversation.session_id)
    assert loaded is not None
    return loaded


async def spoken_to(stage: Stage, text: str) -> None:
    """Have something said to the agent and answered."""
    await stage.agent_session.generate_reply(user_input=text)


async def test_what_the_token_says_of_a_participant_is_kept(stage: Callable[[], Stage]) -> None:
    """Identity and metadata are in the sealed content from the first moment on."""
    first = await stage().join()
    await first.conversation._content.flush(5)
    content = (await stored(first)).session.content
    assert (content.identity, content.metadata) == (first.participant, {"plan": "gold"})


async def test_somebody_new_is_greeted_once(stage: Callable[[], Stage]) -> None:
    """The page gets hello and the greeting, and a restored connection brings no other one."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    first.job.room.go(first.participant)
    first.job.room.come(first.participant, "load-1")
    await asyncio.sleep(0.3)
    assert first.said() == ["Hello! I am your assistant. What is your name?"]
    assert first.job.room.types()[:2] == ["hello", "turn"]


async def test_a_reload_is_welcomed_and_counted(stage: Callable[[], Stage]) -> None:
    """A new load id is a return, even if nobody was seen leaving."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: len(first.said()) == 2)
    assert first.said()[1] == "Welcome back! This is visit number 2."
    assert (await stored(first)).session.reconnect_count == 1


async def test_a_reload_while_the_agent_starts_is_no_return_to_somebody_new(
    stage: Callable[[], Stage],
) -> None:
    """The first words that anybody hears are never "welcome back"."""
    first = await stage().join()
    first.job.room.come(first.participant, "load-2")
    await first.start()
    await first.until(lambda: len(first.said()) == 1)
    assert first.said()[0].startswith("Hello!")


async def test_a_job_that_died_before_its_greeting_is_made_up_for(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The successor greets somebody whom nobody has greeted, although it is a takeover."""
    first = await stage().join()
    await first.die()
    await age(raw, first.store, "maria", first.conversation.session_id, 4)
    second = await (await stage().join()).start()
    await second.until(lambda: len(second.said()) == 1)
    assert second.said()[0].startswith("Hello!")


@pytest.mark.parametrize("load_id", ["load-1", "load-2"])
async def test_a_question_that_nobody_answered_is_answered(
    stage: Callable[[], Stage], raw: Any, load_id: str
) -> None:
    """The successor of a dead job answers the last words, whether the page was reloaded or not."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    question = llm.ChatMessage(role="user", content=["What is my name?"])
    first.conversation._transcript.record(question)
    await first.conversation._recorder.flush(5)
    await first.die()
    await age(raw, first.store, "maria", first.conversation.session_id, 4)
    second = await stage().join()
    if load_id != "load-1":
        second.job.room.come(second.participant, load_id)
    await second.start()
    await second.until(lambda: "Your name is Maria." in second.said())


async def test_a_lease_lost_before_the_start_leaves_nobody_talking(
    stage: Callable[[], Stage],
) -> None:
    """A job whose session is gone says nothing, and ends."""
    first = await stage().join()
    await first.store.erase(first.participant)
    await first.until(lambda: first.job.shutdowns != [])
    await first.start()
    await asyncio.sleep(0.2)
    assert (first.said(), first.job.room.types()) == ([], [])


async def test_a_session_that_closes_by_error_ends_its_job(stage: Callable[[], Stage]) -> None:
    """A job without its agent session would be a mute ghost: it gives the lease back and ends."""
    first = await (await stage().join()).start()
    await first.agent_session.aclose()
    await first.until(lambda: first.job.shutdowns != [])
    await first.end()
    joined = await first.store.join(first.participant)
    await first.store.release(joined.lease)


async def test_the_end_waits_for_what_is_not_written_yet(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The last words are saved when Redis comes back a second after the job was told to end."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await away(raw)
    last = llm.ChatMessage(role="user", content=["my last words"])
    first.conversation._transcript.record(last)
    ending = asyncio.create_task(first.end())
    await asyncio.sleep(1)
    await back(raw)
    await ending
    assert (await stored(first)).turns[-1].turn.text == "my last words"
    await first.store.release((await first.store.join(first.participant)).lease)


async def test_who_stays_in_the_room_has_not_left(stage: Callable[[], Stage]) -> None:
    """The end of a job is no departure of its participant, and costs no visit."""
    first = await stage().join()
    await first.end()
    assert (await stored(first)).session.state is SessionState.LIVE
    second = await (await stage().join()).start()
    assert second.conversation.visit == 1


async def test_who_comes_back_while_redis_is_away_is_heard(
    stage: Callable[[], Stage], raw: Any
) -> None:
    """The page gets its hello at once; the visit is counted when Redis is back, and once."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await away(raw)
    first.job.room.go(first.participant)
    await asyncio.sleep(0.7)
    seen = len(first.job.room.sent)
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: "hello" in first.job.room.types()[seen:])
    await back(raw)
    await first.until(lambda: len(first.said()) == 2)
    session = (await stored(first)).session
    assert (session.state, session.reconnect_count) == (SessionState.LIVE, 1)


async def test_an_erasure_ends_the_conversation(stage: Callable[[], Stage]) -> None:
    """The page is told, also if it comes back later; nothing is kept, and the job ends soon."""
    first = await (await stage().join()).start()
    await first.until(lambda: len(first.said()) == 1)
    await first.conversation.erase()
    await first.until(lambda: "erased" in first.job.room.types())
    await spoken_to(first, "my name is Maria")
    first.job.room.come(first.participant, "load-2")
    await first.until(lambda: first.job.room.types().count("erased") == 2)
    assert await first.store.load(first.participant, first.conversation.session_id) is None


async def test_an_erasure_whose_answer_was_lost_is_one(stage: Callable[[], Stage]) -> None:
    """It is tried again, finds nothing, and the page is told; nobody says that it failed."""
    first = await (await stage().join()).start()
    erase = first.store._backend.erase
    answers = iter([StoreUnavailable("no answer")])

    async def lossy(*args: Any) -> int:
        done = await erase(*args)
        for error in answers:
            raise error
        return done

    first.store._backend.erase = lossy  # type: ignore[method-assign,assignment]
    await first.conversation.erase()
    await first.until(lambda: "erased" in first.job.room.types())


async def test_words_said_while_an_erasure_fails_are_kept(stage: Callable[[], Stage]) -> None:
    """An erasure that could not be done leaves the conversation as it was."""
    first = await (await stage().join()).start()

    async def fails(*_: Any) -> int:
        raise StoreUnavailable("no answer")

    first.store._backend.erase = fails  # type: ignore[method-assign,assignment]
    erasing = asyncio.create_task(first.conversation.erase())
    await asyncio.sleep(0.1)
    words = llm.ChatMessage(role="user", content=["said meanwhile"])
    first.conversation._on_item_added(SimpleNamespace(item=words))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await erasing
    await first.conversation._recorder.flush(5)
    assert "said meanwhile" in [each.turn.text for each in (await stored(first)).turns]


async def test_what_cannot_be_kept_does_not_stop_what_can(stage: Callable[[], Stage]) -> None:
    """A broken character from a model loses its own turn, and nothing else."""
    first = await (await stage().join()).start()
    broken = llm.ChatMessage(role="assistant", content=["\ud83d"])
    first.conversation._on_item_added(SimpleNamespace(item=broken))  # type: ignore[arg-type]
    first.conversation.change(lambda before: before.model_copy(update={"title": "\ud83d"}))
    await first.conversation._content.flush(5)
    first.conversation.change(lambda before: before.model_copy(update={"language": "de"}))
    await first.conversation._content.flush(5)
    content = (await stored(first)).session.content
    assert (content.language, content.title) == ("de", None)


async def test_a_second_job_waits_for_the_first(stage: Callable[[], Stage]) -> None:
    """Two jobs never have a conversation at once."""
    first = await (await stage().join()).start()
    with pytest.raises(LeaseHeld):
        await stage().join()
    assert first.job.shutdowns == []
