"""New, return, takeover, handoff: what the agent says then, and what it does not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc
from livekit.agents import Agent, llm

from examples.handoff import Billing
from session_store.livekit import EntryKind
from tests.integration.entering import (
    BACK,
    DONE,
    FOR_MODEL,
    GREETING,
    QUESTIONS,
    Busy,
    ByModel,
    Interview,
    Practice,
    Returning,
    Waiting,
)
from tests.integration.scripted import ScriptedLLM, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession

    from tests.integration.following_jobs import Job

REPLY = "Yes."
QUIET_S = 0.3
"""How long a test listens before it says that nothing was said."""


def notes_for(model: ScriptedLLM) -> list[list[str]]:
    """Return the instructions that a model was given in each request, without the agent's own."""
    return [
        [
            item.text_content or ""
            for item in context.messages()
            if item.role == "system" and (item.text_content or "") not in {"Be brief.", "Be kind."}
        ]
        for context in model.given
    ]


@pytest.fixture
def model() -> ScriptedLLM:
    """Return a model that says one word."""
    return ScriptedLLM(lambda _: REPLY)


def noting() -> ScriptedLLM:
    """Return a model that notes each answer."""
    return ScriptedLLM(lambda _: [call("note_answer", '{"answer": "yes"}')])


def leave(job: Job) -> None:
    """Let the participant go for good."""
    job.stage.job.room.go(job.stage.participant)


async def leave_and_return(job: Job) -> None:
    """Let the participant leave, and come back once that is known."""
    leave(job)
    conversation = job.stage.conversation
    await job.stage.until(lambda: not conversation._parts.presence.is_here)
    job.stage.job.room.come(job.stage.participant, "load-1")
    await job.stage.until(lambda: conversation.visit > 1)


async def end(job: Job, *, is_here: bool) -> None:
    """End a job as a deploy does, with its participant in the room or not."""
    if not is_here:
        leave(job)
        await job.stage.until(lambda: not job.stage.conversation._parts.presence.is_here)
    await job.stage.end()


async def talk(job: Job) -> None:
    """Exchange some words."""
    await job.ask("hello")
    await job.until_said(REPLY)


async def test_a_job_knows_how_it_came_to_its_conversation(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """There are four ways, and each has its gap."""
    jobs: list[Job] = [await (await job(model)).start(Waiting())]
    await talk(jobs[0])
    await jobs[0].die(raw)
    jobs.append(await (await job(model)).start(Waiting()))
    await end(jobs[1], is_here=True)
    jobs.append(await (await job(model)).start(Waiting()))
    await end(jobs[2], is_here=False)
    jobs.append(await job(model))
    conversations = [each.stage.conversation for each in jobs]
    assert [each.entry for each in conversations] == [
        EntryKind.NEW,
        EntryKind.TAKEOVER,
        EntryKind.HANDOFF,
        EntryKind.RETURN,
    ]
    assert conversations[0].gap == timedelta(0)
    # The lease of the job that died is made 4 s older.
    assert conversations[1].gap >= timedelta(seconds=4)
    assert conversations[3].gap > timedelta(0)
    assert max(each.gap for each in conversations) < timedelta(minutes=1)


async def test_a_participant_has_left_a_room_that_livekit_has_closed(
    job: Callable[..., Any], model: ScriptedLLM
) -> None:
    """The job may not be told of the departure any more. A return is not met by silence."""
    first: Job = await (await job(model)).start(Practice())
    await talk(first)
    first.stage.job.room.emit("disconnected", rtc.DisconnectReason.ROOM_CLOSED)
    await end(first, is_here=True)
    second: Job = await (await job(model)).start(Practice())
    assert second.stage.conversation.entry is EntryKind.RETURN
    await second.stage.until(lambda: second.said().count(GREETING) > 1)


@pytest.mark.parametrize("agent", [Waiting, Practice])
async def test_nothing_is_added_to_what_an_agent_says(
    job: Callable[..., Any], model: ScriptedLLM, agent: Callable[[], Agent]
) -> None:
    """Not to a new participant, and not to one who returns to a new job (A16)."""
    own = [GREETING] if agent is Practice else []
    first: Job = await (await job(model)).start(agent())
    await asyncio.sleep(QUIET_S)
    assert first.stage.said() == own
    await talk(first)
    await end(first, is_here=False)
    second: Job = await (await job(model)).start(agent())
    await asyncio.sleep(QUIET_S)
    assert second.stage.conversation.entry is EntryKind.RETURN
    assert second.stage.said() == own
    assert len(model.given) == 1


async def test_whoever_returns_to_a_living_job_is_welcomed_by_the_model(
    job: Callable[..., Any], model: ScriptedLLM
) -> None:
    """The agent has greeted in its ``on_enter``, so it is no silent one (A8)."""
    practice = Practice()
    first: Job = await (await job(model)).start(practice)
    await first.until_said(GREETING)
    await leave_and_return(first)
    await first.until_said(REPLY)
    assert first.stage.said() == [GREETING, REPLY]
    ((note,),) = notes_for(model)
    assert "was away for less than a minute" in note
    assert timedelta(seconds=0.5) <= first.stage.conversation.gap < timedelta(minutes=1)
    assert first.stage.conversation.entry is EntryKind.NEW
    assert practice.entered == 1


async def test_an_agent_that_waits_to_be_spoken_to_waits_at_a_return_too(
    job: Callable[..., Any], model: ScriptedLLM
) -> None:
    """It said nothing in its ``on_enter``."""
    first: Job = await (await job(model)).start(Waiting())
    await leave_and_return(first)
    await asyncio.sleep(QUIET_S)
    assert (first.stage.said(), model.given) == ([], [])


async def test_an_agent_with_on_return_says_what_it_likes(job: Callable[..., Any]) -> None:
    """Its hook runs as ``on_enter`` does: it may await a task."""
    first: Job = await (await job(noting())).start(Returning())
    await first.until_said(GREETING)
    await leave_and_return(first)
    await first.until_said("And now?")
    assert first.stage.said() == [GREETING, BACK, "And now?"]
    agent = first.stage.agent
    await first.ask("well")
    await first.stage.until(lambda: first.stage.agent is not agent)
    assert isinstance(first.stage.agent, Returning)


async def test_an_on_return_that_fails_leaves_the_agent_talking(
    job: Callable[..., Any], model: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged."""

    class Failing(Practice):
        async def on_return(self) -> None:
            raise ValueError

    first: Job = await (await job(model)).start(Failing())
    await leave_and_return(first)
    await first.stage.until(lambda: "on_return has failed" in caplog.text)
    await talk(first)


async def test_after_a_takeover_nothing_is_said_and_no_model_is_asked(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """Neither by the voice nor by the model; and the agent that waits for its words goes on."""
    first: Job = await (await job(model)).start(ByModel())
    await first.until_said(REPLY)
    await first.die(raw)
    model.given.clear()
    agent = ByModel()
    second: Job = await (await job(model)).start(agent)
    await second.stage.until(lambda: len(agent.replies) == 1)
    assert agent.replies[0].interrupted
    assert agent.replies[0].done()
    await asyncio.sleep(QUIET_S)
    assert (second.stage.said(), model.given) == ([], [])
    await second.ask("thank you")
    assert second.stage.said() == [REPLY]


async def test_whoever_returns_after_a_takeover_is_welcomed(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """The agent greets in its ``on_enter``, although this job has muted that."""
    first: Job = await (await job(model)).start(Practice())
    await first.until_said(GREETING)
    await first.die(raw)
    second: Job = await (await job(model)).start(Practice())
    await asyncio.sleep(QUIET_S)
    assert second.stage.said() == []
    await leave_and_return(second)
    await second.until_said(REPLY)
    assert second.stage.said() == [REPLY]


async def test_an_interview_begins_again_aloud(job: Callable[..., Any], raw: Any) -> None:
    """The greeting before its first task is muted, and no word of its tasks is (A13)."""
    first: Job = await (await job(noting())).start(Interview())
    await first.until_said(QUESTIONS[0])
    for following in QUESTIONS[1:]:
        await first.ask("an answer")
        await first.until_said(following)
    await first.die(raw)
    second: Job = await (await job(noting())).start(Interview())
    for question in QUESTIONS:
        await second.stage.until(lambda: question in second.stage.said())  # noqa: B023 (at once)
        await second.ask("an answer")
    await second.until_said(DONE)
    assert second.stage.said() == [*QUESTIONS, DONE]


async def test_background_tasks_are_not_muted(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """What ``on_enter`` has said beside itself is heard, and itself once the participant speaks."""
    before = Busy()
    first: Job = await (await job(model)).start(before)
    await first.until_said(GREETING)
    await first.die(raw)
    before.may_go_on.set()
    agent = Busy()
    second: Job = await (await job(model)).start(agent)
    await second.stage.until(lambda: second.stage.said() == ["The practice closes at six."])
    second.stage.agent_session._update_user_state("speaking")
    second.stage.agent_session._update_user_state("listening")
    agent.may_go_on.set()
    await second.stage.until(lambda: DONE in second.stage.said())
    assert second.stage.said() == ["The practice closes at six.", DONE]


async def test_until_the_participant_speaks_on_enter_stays_muted(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """However long it runs; and it is no other agent's."""
    before = Busy()
    first: Job = await (await job(model)).start(before)
    await first.until_said(GREETING)
    await first.die(raw)
    before.may_go_on.set()
    agent = Busy()
    second: Job = await (await job(model)).start(agent)
    await second.stage.until(lambda: len(second.stage.said()) == 1)
    agent.may_go_on.set()
    session: AgentSession[Any] = second.stage.agent_session
    await second.stage.until(lambda: "say" not in vars(session))
    session.update_agent(Billing())
    await second.until_said("Billing here. Which number has your bill?")
    assert second.stage.said() == [
        "The practice closes at six.",
        "Billing here. Which number has your bill?",
    ]


async def test_the_model_greets_by_instructions(
    job: Callable[..., Any], model: ScriptedLLM, raw: Any
) -> None:
    """A new participant and one who returns, to this job or another; not after a takeover."""
    words = "Greet the person by name."

    async def begin() -> Job:
        begun: Job = await job(model)
        await begun.stage.start_with(Waiting(), instructions=words)
        return begun

    first = await begin()
    await first.until_said(REPLY)
    await leave_and_return(first)
    await first.stage.until(lambda: len(first.stage.said()) == 2)
    await first.die(raw)
    second = await begin()
    await asyncio.sleep(QUIET_S)
    assert second.stage.said() == []
    await end(second, is_here=False)
    third = await begin()
    await third.stage.until(lambda: third.stage.said() == [REPLY])
    assert notes_for(model) == [[words]] * 3


async def test_an_answer_that_is_owed_takes_the_place_of_a_greeting_by_the_model(
    job: Callable[..., Any], model: ScriptedLLM
) -> None:
    """The model has the question before it, and would answer it twice."""
    first: Job = await (await job(model)).start(Waiting())
    question = llm.ChatMessage(role="user", content=["What is my name?"])
    first.stage.conversation._writers.transcript.record(question)
    await end(first, is_here=False)
    second: Job = await job(model)
    await second.stage.start_with(Waiting(), instructions=FOR_MODEL)
    await second.until_said(REPLY)
    await asyncio.sleep(QUIET_S)
    assert second.stage.said() == [REPLY]
    assert notes_for(model) == [[]]
