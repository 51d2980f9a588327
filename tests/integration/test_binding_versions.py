"""What one version of livekit-agents does otherwise than another, the same through one module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, llm
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS

from dev.paths import ROOT
from session_store.livekit.job.announce_participant import KINDS
from session_store.livekit.job.versions import (
    context_of,
    realtime_session_of,
    update_context,
    update_instructions,
)
from session_store.livekit.worker.watch import _name_of
from tests.integration.realtime import LocalRealtime
from tests.integration.scripted import ScriptedLLM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def systems(context: llm.ChatContext) -> list[str | None]:
    """Return the instructions that a model is given."""
    return [each.text_content for each in context.messages() if each.role == "system"]


@pytest.fixture
def model() -> ScriptedLLM:
    """Return a model that says one word."""
    return ScriptedLLM(lambda _: "Yes.")


@pytest.fixture
async def agent_session(model: ScriptedLLM) -> AsyncIterator[AgentSession[Any]]:
    """Return an agent session on that model, not started yet."""
    async with AgentSession(llm=model) as session:
        yield session


async def test_other_instructions_reach_the_model_with_the_next_answer(
    agent_session: AgentSession[Any], model: ScriptedLLM
) -> None:
    """Changed once or twice, there is one of them, and the newest."""
    agent = Agent(instructions="Be brief.")
    await agent_session.start(agent)
    await agent_session.generate_reply(user_input="Hello?")
    for text in ("Be polite.", "Be both."):
        await update_instructions(agent, text)
        await agent_session.generate_reply(user_input="Hello?")
    assert [systems(each) for each in model.given] == [["Be brief."], ["Be polite."], ["Be both."]]


async def test_the_context_of_the_agent_that_runs_is_read_and_replaced(
    agent_session: AgentSession[Any], model: ScriptedLLM
) -> None:
    """From outside of the agent's own hooks, too."""
    await agent_session.start(Agent(instructions=""))
    await agent_session.generate_reply(user_input="Hello?")
    context = context_of(agent_session)
    assert [each.text_content for each in context.messages()][-2:] == ["Hello?", "Yes."]
    context.add_message(role="user", content="My name is Maria.")
    assert "Maria" not in str(context_of(agent_session).items)
    await update_context(agent_session, context)
    await agent_session.generate_reply(user_input="Who am I?")
    assert "My name is Maria." in [each.text_content for each in model.given[-1].messages()]


async def test_no_context_is_read_before_the_start(agent_session: AgentSession[Any]) -> None:
    """The error is the one that LiveKit raises by itself."""
    with pytest.raises(RuntimeError):
        context_of(agent_session)
    assert realtime_session_of(agent_session) is None


async def test_the_session_of_a_realtime_model_is_found(agent_session: AgentSession[Any]) -> None:
    """Its failures are told to the participant; other models have none."""
    await agent_session.start(Agent(instructions=""))
    assert realtime_session_of(agent_session) is None
    realtime = LocalRealtime()
    async with AgentSession(llm=realtime) as other:
        await other.start(Agent(instructions=""))
        assert realtime_session_of(other) is realtime.sessions[-1]


def test_a_worker_is_watched_under_the_name_that_livekit_knows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No version needs the name in the program; a worker without one is told."""

    async def entrypoint(_: JobContext) -> None: ...

    names = []
    for name in ("front-desk", ""):
        monkeypatch.setenv("LIVEKIT_AGENT_NAME", name)
        server = AgentServer()
        server.rtc_session()(entrypoint)
        names.append(_name_of(server))
    assert names == ["front-desk", ""]
    assert caplog.messages == ["this worker has no agent name: set LIVEKIT_AGENT_NAME"]


def test_one_module_knows_the_version() -> None:
    """All others ask it."""
    knowing = [
        path.name
        for folder in ("session_store", "agent", "demo_models", "examples")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(
            r"agents(?:\.version)? import .*__version__|agents\.__version__", path.read_text()
        )
    ]
    assert knowing == ["versions.py"]


def test_whoever_talks_with_an_agent_is_served() -> None:
    """The kinds of participants are those that LiveKit itself links an agent to."""
    assert sorted(KINDS) == sorted(DEFAULT_PARTICIPANT_KINDS)
