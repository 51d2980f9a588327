"""Agents that begin in the middle: the examples' classes, unchanged, in a room of the test's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import Agent, function_tool, llm

from examples.handoff import Billing, Reception
from examples.tools import Host
from session_store.livekit.job.greeting import answer, speak
from session_store.livekit.job.unknown_outcomes import OUTCOME_UNKNOWN
from session_store.livekit.job.versions import AGENTS_HAVE_CONTEXTS, context_of
from tests.integration.realtime import LocalRealtime
from tests.integration.scripted import ScriptedLLM, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.following_jobs import Job


WELCOME = "Welcome! For how many people?"


async def test_whoever_was_greeted_is_not_greeted_again(job: Callable[..., Any], raw: Any) -> None:
    """Where the conversation goes on, ``on_enter`` is not heard; what tools have done is known."""
    first: Job = await job()
    assert first.stage.conversation.is_new
    await first.start(Host())
    await first.until_said(WELCOME)
    await first.ask("please book a table for 4")
    await first.until_said("It says: table 7 for 4.")
    await first.die(raw)

    second: Job = await job()
    assert not second.stage.conversation.is_new
    host = Host()
    await second.start(host)
    known = context_of(second.stage.agent_session)
    resumed = known.copy(exclude_instructions=True, exclude_config_update=True)
    assert [item.type for item in resumed.items] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
        "message",
    ]
    await second.ask("thank you")
    assert second.said()[-1] == "I heard: thank you."
    assert second.said().count(WELCOME) == 1
    assert second.stage.said() == ["I heard: thank you."]


async def test_a_job_that_died_before_its_greeting_is_made_up_for(
    job: Callable[..., Any], raw: Any
) -> None:
    """Nothing was said in the conversation, so ``on_enter`` is heard, takeover or not."""
    first: Job = await job()
    await first.die(raw)
    second: Job = await job()
    await second.start(Host())
    await second.until_said(WELCOME)


@pytest.mark.skipif(not AGENTS_HAVE_CONTEXTS, reason="agents of 2.0 have no context of their own")
async def test_what_an_agent_knows_by_itself_stays(job: Callable[..., Any]) -> None:
    """Examples that it was given stand before the conversation."""
    first: Job = await job()
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="an example")
    agent = Agent(instructions="", chat_ctx=context)
    first.stage.conversation.chat_ctx.add_message(role="user", content="hello")
    await first.stage.conversation.resume(agent)
    assert [item.text_content for item in agent.chat_ctx.messages()] == ["an example", "hello"]


async def test_the_record_tells_which_agent_is_active(job: Callable[..., Any], raw: Any) -> None:
    """It is the one that was handed to, in all jobs after it, and it does not greet again."""
    first: Job = await job()
    assert first.stage.conversation.active_agent is None
    await first.start(Reception())
    await first.until_said("Reception, good morning!")
    await first.ask("call billing, please")
    await first.until_said("Billing here. Which number has your bill?")
    await first.die(raw)
    for _ in range(2):
        following: Job = await job()
        assert following.stage.conversation.active_agent == "billing"
        await following.start(Billing())
        await following.ask("please check bill 12")
        await following.until_said("It says: bill 12 is paid.")
        assert following.said().count("Billing here. Which number has your bill?") == 1
        await following.die(raw)


async def test_an_entry_point_that_begins_anew_is_believed(
    job: Callable[..., Any], raw: Any
) -> None:
    """Where it starts another agent than the active one, that one is active from then on."""
    first: Job = await job()
    await first.start(Reception())
    await first.ask("call billing, please")
    await first.until_said("Billing here. Which number has your bill?")
    await first.die(raw)
    second: Job = await job()
    await second.start(Reception())
    await second.die(raw)
    third: Job = await job()
    assert third.stage.conversation.active_agent == "reception"


async def test_an_unknown_outcome_is_told_and_no_tool_called_for_it(
    job: Callable[..., Any], raw: Any
) -> None:
    """Even a model that would call the tool again cannot, in its first answer."""

    def eager(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        asked = [item for item in context.messages() if item.role == "user"]
        return [call("book_table")] if asked else "Hello!"

    first: Job = await job(ScriptedLLM(eager))
    booked, dead = asyncio.Event(), asyncio.Event()

    class Waiting(Agent):
        @function_tool
        async def book_table(self) -> str:
            """Book a table, for ever."""
            booked.set()
            await dead.wait()
            return ""

    await first.start(Waiting(instructions=""))
    first.stage.agent_session.generate_reply(user_input="a table, please")
    await booked.wait()
    await first.die(raw)
    dead.set()

    given: list[list[llm.Tool]] = []

    class Watched(ScriptedLLM):
        def chat(self, **request: Any) -> llm.LLMStream:
            given.append([] if request["tool_choice"] == "none" else request["tools"])
            return super().chat(**request)

    second: Job = await job(Watched(lambda _: "I am not sure that it worked."))
    await second.start(Host())
    await second.until_said("I am not sure that it worked.")
    assert given == [[]]
    items = second.stage.conversation.chat_ctx.items
    assert isinstance(items[-1], llm.FunctionCallOutput)
    assert items[-1].output == OUTCOME_UNKNOWN


class Loud:
    """An agent session that cannot ``say``, as a realtime model's with sound and no TTS."""

    def __init__(self) -> None:
        self.llm = LocalRealtime()
        self.current_agent = Agent(instructions="")
        self.asked: list[dict[str, Any]] = []

    def say(self, words: str) -> None:
        """Refuse."""
        raise RuntimeError(words)

    def generate_reply(self, **wishes: Any) -> None:
        """Note what is wanted."""
        self.asked.append(wishes)


def test_a_realtime_model_greets_and_answers_by_itself() -> None:
    """It is asked for the words of a greeting, and answers of the context that it has."""
    loud: Any = Loud()
    speak(loud, "Hello!")
    answer(loud, llm.ChatContext.empty())
    assert loud.asked[0] == {"instructions": "Say this, and nothing else: Hello!"}
    assert "chat_ctx" not in loud.asked[1]


@pytest.mark.parametrize("model", [None, "realtime"])
async def test_an_agent_that_returns_greets_as_it_likes(
    job: Callable[..., Any], raw: Any, model: str | None
) -> None:
    """Only the first ``on_enter`` of a job that goes on is silent; handed back to, it is heard."""
    first: Job = await job()
    await first.start(Reception())
    await first.until_said("Reception, good morning!")
    await first.die(raw)
    second: Job = await job(LocalRealtime() if model else None)
    reception = Reception()
    await second.start(reception)
    assert second.said().count("Reception, good morning!") == 1
    second.stage.agent_session.update_agent(Billing())
    await second.until_said("Billing here. Which number has your bill?")
    second.stage.agent_session.update_agent(reception)
    await second.stage.until(lambda: second.said().count("Reception, good morning!") == 2)
