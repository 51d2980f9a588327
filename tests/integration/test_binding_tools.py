"""Tool calls are known from their beginning, and never run twice, on a real store."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from livekit.agents import Agent, AgentSession, RunContext, ToolError, function_tool, llm

from dev.rig.net import NET_S
from session_store import TurnKind
from session_store.livekit.job.chat_items import item_of
from session_store.livekit.job.model_context import chat_context
from session_store.livekit.job.owed_answer import owed
from session_store.livekit.job.page_channel import PageChannel
from session_store.livekit.job.tool_calls import ToolCalls
from session_store.livekit.job.transcript import Transcript
from session_store.livekit.job.versions import extend_context, start_args_for
from session_store.writing.recorder import Recorder
from tests.integration.scripted import ScriptedLLM, call
from tests.integration.stage import Room
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from session_store import SessionStore
    from session_store.values import Joined


class Clerk(Agent):
    """Books one thing at once, another when it is told to, and looks for a third for ever."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.booked: list[str] = []
        self.free = asyncio.Event()

    @function_tool
    async def book_room(self) -> str:
        """Book a room."""
        self.booked.append("room")
        return "room 7"

    @function_tool
    async def book_car(self) -> str:
        """Book a car, when one is free."""
        self.booked.append("car")
        await self.free.wait()
        return "a red one"

    @function_tool
    async def book_boat(self) -> str:
        """Book a boat: there is none."""
        raise ToolError("there is no boat")

    @function_tool
    async def look_around(self, ctx: RunContext[Any]) -> str:
        """Look for something, while the conversation goes on."""
        await ctx.update("looking")
        await self.free.wait()
        return "found it"


class Desk:
    """A job that records what a clerk does."""

    def __init__(
        self, store: SessionStore, joined: Joined, clerk: Clerk, model: llm.LLM[Any]
    ) -> None:
        room: Any = Room()
        self.clerk = clerk
        self.joined = joined
        self.recorder = Recorder(store, joined.lease)
        self.channel = PageChannel(room, "maria")
        self.transcript = Transcript(self.recorder, self.channel, joined.lease, joined.turns)
        self.transcript.make_good(joined.drafts)
        self.agent_session: AgentSession[Any] = AgentSession(llm=model, max_tool_steps=9)
        self.agent_session.on(
            "conversation_item_added", lambda event: self.transcript.record_if_new(event.item)
        )
        self.tool_calls = ToolCalls(self.agent_session, self.transcript)

    async def open(self) -> Desk:
        """Begin to work."""
        context = chat_context(self.joined.turns, 20)
        await extend_context(self.clerk, context)
        await self.agent_session.start(self.clerk, **start_args_for(context))
        return self

    def ask(self, text: str) -> None:
        """Ask for something; it is recorded at once, as by voice or by hand."""
        self.agent_session.generate_reply(user_input=text)

    async def die(self) -> None:
        """End as SIGKILL does; what was recorded is saved."""
        assert await self.recorder.flush(5)
        await self.recorder.aclose()
        self.tool_calls.stop()

    async def close(self) -> None:
        """End everything that still runs."""
        self.clerk.free.set()
        await self.agent_session.aclose()
        await self.recorder.aclose()
        await self.channel.aclose()

    def items(self) -> list[llm.ChatItem | None]:
        """Return what is recorded."""
        return [item_of(each.turn) for each in self.transcript.turns]

    def outputs(self) -> dict[str, str]:
        """Return the outputs that are recorded, by tool."""
        return {
            item.name: item.output
            for item in self.items()
            if isinstance(item, llm.FunctionCallOutput)
        }

    def calls(self) -> list[str]:
        """Return the calls that are recorded."""
        return [item.name for item in self.items() if isinstance(item, llm.FunctionCall)]

    def said(self) -> list[str]:
        """Return what the agent is recorded to have said."""
        turns = [each.turn for each in self.transcript.turns]
        return [turn.text for turn in turns if turn.role == "assistant"]

    def has_said(self, words: str) -> bool:
        """Return whether the agent is recorded to have said this."""
        return words in self.said()

    def has_answered(self) -> bool:
        """Return whether the agent has said what came of its calls."""
        return any("It says" in words for words in self.said())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(NET_S):
            while not condition():
                await asyncio.sleep(0.01)


def calls_once(*names: str) -> ScriptedLLM:
    """Return a model that calls these tools for a question, and then says what came of it."""

    def script(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        outputs = [item for item in context.items if isinstance(item, llm.FunctionCallOutput)]
        if not outputs:
            return [call(name) for name in names]
        return "It says: " + "; ".join(item.output for item in outputs)

    return ScriptedLLM(script)


@pytest_asyncio.fixture
async def desk(store: SessionStore) -> AsyncIterator[Callable[..., Any]]:
    """Open desks, one job after another."""
    desks: list[Desk] = []

    async def open_desk(model: llm.LLM[Any]) -> Desk:
        joined = await store.join(store.pseudonym("maria"), load_id="load-1")
        desks.append(Desk(store, joined, Clerk(), model))
        return await desks[-1].open()

    yield open_desk
    for each in desks:
        await each.close()


async def test_a_call_is_recorded_when_it_begins(desk: Callable[..., Any]) -> None:
    """While the tool runs, its call is saved already, without an outcome."""
    first: Desk = await desk(calls_once("book_car"))
    first.ask("a car, please")
    await first.until(lambda: first.clerk.booked == ["car"])
    await first.until(lambda: first.calls() == ["book_car"])
    assert await first.recorder.flush(5)
    assert first.outputs() == {}
    first.clerk.free.set()
    await first.until(lambda: first.outputs() == {"book_car": "a red one"})
    await first.until(first.has_answered)
    assert first.calls() == ["book_car"]


async def test_of_parallel_calls_each_has_its_outcome_as_soon_as_it_ends(
    desk: Callable[..., Any],
) -> None:
    """One that has ended is not unknown because another one goes on."""
    first: Desk = await desk(calls_once("book_car", "book_room"))
    first.ask("a car and a room, please")
    await first.until(lambda: first.outputs() == {"book_room": "room 7"})
    assert sorted(first.calls()) == ["book_car", "book_room"]
    first.clerk.free.set()
    await first.until(lambda: "book_car" in first.outputs())
    await first.until(first.has_answered)
    kinds = [each.turn.kind for each in first.transcript.turns]
    assert kinds.count(TurnKind.TOOL_OUTPUT) == 2


async def test_a_call_that_a_death_cut_short_is_never_run_again(
    desk: Callable[..., Any], store: SessionStore, raw: Any
) -> None:
    """The successor tells the model that the outcome is unknown, in the record too, and once."""
    first: Desk = await desk(calls_once("book_car", "book_room"))
    first.ask("a car and a room, please")
    await first.until(lambda: first.outputs() == {"book_room": "room 7"})
    await first.die()
    await age(raw, store, "maria", first.joined.session.id, 4)

    second: Desk = await desk(calls_once("book_car", "book_room"))
    assert owed(second.transcript.turns)
    assert second.outputs()["book_room"] == "room 7"
    assert second.outputs()["book_car"].startswith("outcome unknown: the call was interrupted")
    await second.die()
    await age(raw, store, "maria", first.joined.session.id, 4)

    third: Desk = await desk(calls_once("book_car", "book_room"))
    assert len(third.outputs()) == 2
    assert third.transcript.turns == third.joined.turns
    third.agent_session.generate_reply()
    await third.until(third.has_answered)
    assert "room 7" in third.said()[-1]
    assert "outcome unknown" in third.said()[-1]
    assert (second.clerk.booked, third.clerk.booked) == ([], [])


async def test_a_call_that_fails_is_recorded_as_it_was(desk: Callable[..., Any]) -> None:
    """A tool's error, and the call of a tool that does not exist, are outcomes like others."""
    first: Desk = await desk(calls_once("book_boat", "book_moon"))
    first.ask("a boat to the moon, please")
    await first.until(first.has_answered)
    assert first.outputs()["book_boat"] == "there is no boat"
    assert first.outputs()["book_moon"].startswith("Unknown function")
    assert sorted(first.calls()) == ["book_boat", "book_moon"]


async def test_a_tool_that_reports_and_goes_on_has_both_in_the_record(
    desk: Callable[..., Any],
) -> None:
    """What it reported and what it found are two pairs of call and output, as LiveKit has it."""
    first: Desk = await desk(calls_once("look_around"))
    first.ask("where is it?")
    await first.until(lambda: len(first.calls()) == 1 and first.outputs() != {})
    first.clerk.free.set()
    await first.until(lambda: len(first.calls()) == 2)
    await first.until(lambda: first.outputs()["look_around"] == "found it")


async def test_a_tool_that_had_reported_has_an_unknown_outcome_after_a_death(
    desk: Callable[..., Any], store: SessionStore, raw: Any
) -> None:
    """The model does not wait for a tool that no job runs any more."""
    first: Desk = await desk(calls_once("look_around"))
    first.ask("where is it?")
    await first.until(first.has_answered)
    await first.die()
    await age(raw, store, "maria", first.joined.session.id, 4)
    second: Desk = await desk(calls_once("look_around"))
    outputs = [item.output for item in second.items() if isinstance(item, llm.FunctionCallOutput)]
    assert len(outputs) == 2
    assert outputs[1].startswith("outcome unknown")


async def test_calls_that_share_an_id_keep_their_own_outcomes_after_a_death(
    desk: Callable[..., Any], store: SessionStore, raw: Any
) -> None:
    """A model that counts its calls from zero in each reply has two of them with one id."""

    def counts_from_zero(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        last = context.items[-1]
        if isinstance(last, llm.FunctionCallOutput):
            return f"It says: {last.output}"
        asked = context.messages()[-1].text_content or ""
        return [call(f"book_{asked}", call_id="call_0")]

    # LiveKit itself gives a strict provider two outputs of one call, in the second reply.
    model = ScriptedLLM(counts_from_zero, strict=False)
    first: Desk = await desk(model)
    first.clerk.free.set()
    for asked, outcome in (("room", "room 7"), ("car", "a red one")):
        first.ask(asked)
        await first.until(partial(first.has_said, f"It says: {outcome}"))
    await first.die()
    await age(raw, store, "maria", first.joined.session.id, 4)

    model = ScriptedLLM(lambda _: "I remember.")
    second: Desk = await desk(model)
    second.ask("what have I booked?")
    await second.until(lambda: second.said()[-1] == "I remember.")
    items = model.given[0].items
    booked = {item.call_id: item.name for item in items if isinstance(item, llm.FunctionCall)}
    outcomes = {
        booked[item.call_id]: item.output
        for item in items
        if isinstance(item, llm.FunctionCallOutput)
    }
    assert outcomes == {"book_room": "room 7", "book_car": "a red one"}


async def test_six_steps_of_one_reply_are_known_with_their_question(
    desk: Callable[..., Any], store: SessionStore, raw: Any
) -> None:
    """They are more items than the model is given otherwise, and none of them is left out."""

    def steps(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        done = [item for item in context.items if isinstance(item, llm.FunctionCallOutput)]
        return [call("book_room" if len(done) < 6 else "book_car")]

    first: Desk = await desk(ScriptedLLM(steps))
    first.ask("book everything")
    await first.until(lambda: first.calls().count("book_car") == 1)
    await first.die()
    await age(raw, store, "maria", first.joined.session.id, 4)
    second: Desk = await desk(ScriptedLLM(lambda _: "I remember."))
    context = chat_context(second.transcript.turns, 10)
    assert [item.text_content for item in context.messages()] == ["book everything"]
    outputs = [item.output for item in context.items if isinstance(item, llm.FunctionCallOutput)]
    assert outputs[:6] == ["room 7"] * 6
    assert outputs[6].startswith("outcome unknown")
