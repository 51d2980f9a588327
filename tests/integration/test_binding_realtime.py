"""The realtime example's agent, unchanged, on a model that runs here and a real store."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from livekit.agents import AgentSession, llm

from dev.rig.net import NET_S
from examples.realtime import Assistant
from tests.integration.realtime import LocalRealtime, LocalSession
from tests.integration.stage import Stage
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from session_store import SessionStore, StoreSettings


class Call:
    """One job with that model."""

    def __init__(self, store: SessionStore, settings: StoreSettings) -> None:
        self.stage = Stage(store, settings)
        self.model = LocalRealtime()
        self.stage.agent_session = AgentSession(llm=self.model)

    async def begin(self) -> Call:
        """Do as the example's entry point does, in a room that the test directs."""
        await self.stage.join()
        conversation = self.stage.conversation
        output: Any = conversation.start_args["room_options"].get_text_output_options()
        # Where RoomIO has it: at the end.
        self.stage.agent_session.output.transcription = output.next_in_chain
        await self.stage.start_with(Assistant())
        return self

    @property
    def heard(self) -> LocalSession:
        """The provider's side."""
        return self.model.sessions[-1]

    def turns(self) -> list[tuple[str, str]]:
        """Return roles and texts, as they are recorded."""
        turns = [each.turn for each in self.stage.conversation._writers.transcript.turns]
        return [(str(turn.role), turn.text) for turn in turns if turn.role]

    async def until_said(self, words: str) -> None:
        """Wait until the agent is recorded to have said this."""
        await self.stage.until(lambda: ("assistant", words) in self.turns())

    async def until_kept(self, role: str, words: str) -> None:
        """Wait until a successor would find that these words were being said."""
        conversation, kept = self.stage.conversation, ""
        async with asyncio.timeout(NET_S):
            while not kept.startswith(words):
                await asyncio.sleep(0.01)
                found = await self.stage.store.load(self.stage.participant, conversation.session_id)
                drafts = [each.turn for each in found.drafts] if found else []
                kept = next((turn.text for turn in drafts if turn.role == role), "")

    async def type(self, text: str, message_id: str) -> None:
        """Type a message."""
        info = SimpleNamespace(attributes={"rj.msg": message_id})
        event: Any = SimpleNamespace(text=text, info=info)
        await self.stage.conversation._typed.receive(self.stage.agent_session, event)

    async def die(self, raw: Any) -> None:
        """End as SIGKILL does; the lease has run out afterwards."""
        await self.stage.conversation._writers.recorder.flush(5)
        await self.stage.die()
        await age(raw, self.stage.store, "maria", self.stage.conversation.session_id, 4)


@pytest_asyncio.fixture
async def job(store: SessionStore, settings: StoreSettings) -> AsyncIterator[Callable[..., Any]]:
    """Begin jobs, one after another."""
    calls: list[Call] = []

    async def begin() -> Call:
        calls.append(Call(store, settings))
        return await calls[-1].begin()

    yield begin
    for each in calls:
        await each.stage.end()


HELLO = "Hello! I am your assistant. What is your name?"


async def test_the_successor_of_a_realtime_job_knows_all(job: Callable[..., Any], raw: Any) -> None:
    """What was heard, said and looked up is in the context of the provider's new session."""
    first: Call = await job()
    await first.until_said(HELLO)
    first.heard.hear("my cat is called Tom", item_id="item_1")
    await first.until_said("I heard: my cat is called Tom.")
    first.heard.hear("please check the weather", item_id="item_2")
    await first.until_said("It says: sunny.")
    await first.die(raw)

    second: Call = await job()
    given = second.heard.chat_ctx
    assert [item.text_content for item in given.messages() if item.role == "user"] == [
        "my cat is called Tom",
        "please check the weather",
    ]
    outputs = [item.output for item in given.items if isinstance(item, llm.FunctionCallOutput)]
    assert outputs == ["sunny"]
    second.heard.hear("what have I said?", item_id="item_3")
    await second.until_said("You said: my cat is called Tom; please check the weather.")
    assert [text for _, text in second.turns()].count(HELLO) == 1


async def test_what_is_typed_to_a_realtime_model_is_recorded_once(job: Callable[..., Any]) -> None:
    """The model adds it to the conversation under an id of its own, and it is the same."""
    first: Call = await job()
    await first.until_said(HELLO)
    await first.type("my cat is called Tom", "typed-1")
    await first.until_said("I heard: my cat is called Tom.")
    assert [text for role, text in first.turns() if role == "user"] == ["my cat is called Tom"]


async def test_a_question_that_a_realtime_job_left_is_answered(
    job: Callable[..., Any], raw: Any
) -> None:
    """The successor's model answers of its own context, since it takes no other."""
    first: Call = await job()
    await first.until_said(HELLO)
    first.model.stops_after = 0
    first.heard.hear("my cat is called Tom")
    await first.stage.until(lambda: first.turns()[-1] == ("user", "my cat is called Tom"))
    await first.die(raw)
    second: Call = await job()
    await second.until_said("I heard: my cat is called Tom.")


async def test_a_sentence_cut_by_a_death_is_kept_as_far_as_it_was_said(
    job: Callable[..., Any], raw: Any
) -> None:
    """The agent's becomes an interrupted turn, the user's half sentence a turn to be answered."""
    first: Call = await job()
    await first.until_said(HELLO)
    first.model.stops_after = 6
    first.heard.hear("my cat is called Tom")
    await first.until_kept("assistant", "I heard: my cat is called")
    first.heard.hear("and my dog", is_final=False, item_id="item_2")
    await first.until_kept("user", "and my dog")
    await first.die(raw)
    second: Call = await job()
    last = second.turns()[-2:]
    assert last[0][0] == "assistant"
    assert last[0][1].startswith("I heard: my cat")
    assert last[1] == ("user", "and my dog")
    kept = [each.turn for each in second.stage.conversation._turns][-2]
    assert kept.interrupted
    await second.until_said("I heard: and my dog.")
