"""What ends a conversation, and what does not: the caller decides, on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc
from livekit.agents import Agent, CloseReason, llm
from livekit.agents.beta.tools import EndCallTool

from session_store import LeaseLost, SessionState, SessionStore, StoreSettings
from session_store.livekit.rooms.rooms import AGENT, ENDED
from session_store.writing.spool import Spool
from tests.contract.proxy import Cut, Proxy
from tests.integration.following_jobs import Job
from tests.integration.scripted import ScriptedLLM, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_store import Session

MARKED = [{AGENT: ENDED}]


def says_goodbye(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
    """End the call once, and say goodbye."""
    is_called = any(isinstance(item, llm.FunctionCallOutput) for item in context.items)
    return "Goodbye!" if is_called else [call("end_call")]


async def by_tool(job: Job) -> None:
    """Let the model end the call, by LiveKit's own tool."""
    job.stage.agent_session.generate_reply(user_input="bye")
    await job.stage.until(lambda: job.stage.job.marks != [])


async def by_deletion(job: Job) -> None:
    """Delete the room, as any program can; LiveKit then ends the job."""
    job.stage.job.room.emit("disconnected", rtc.DisconnectReason.ROOM_DELETED)
    await job.stage.end()


async def by_shutdown_of_the_job(job: Job) -> None:
    """Call what an entry point calls; LiveKit closes the agent session then."""
    job.stage.job.shutdown()
    await job.stage.end()


async def by_a_task(job: Job) -> None:
    """Close the agent session as a task does that is all there was to do."""
    await job.stage.agent_session._aclose_impl(reason=CloseReason.TASK_COMPLETED)


async def by_shutdown_of_the_session(job: Job) -> None:
    """Call what tools and tasks call."""
    job.stage.agent_session.shutdown()
    await job.stage.until(lambda: job.stage.job.marks != [])


async def by_closing(job: Job) -> None:
    """Close the agent session."""
    await job.stage.agent_session.aclose()


ENDS = {
    "session.shutdown": by_shutdown_of_the_session,
    "session.aclose": by_closing,
    "EndCallTool": by_tool,
    "ctx.shutdown": by_shutdown_of_the_job,
    "a deleted room": by_deletion,
    "a task": by_a_task,
}


async def by_a_deploy(job: Job) -> None:
    """End the job as a worker does that is told to stop."""
    await job.stage.end()


async def by_an_error(job: Job) -> None:
    """Close the agent session as LiveKit does when a provider fails for good."""
    await job.stage.agent_session._aclose_impl(reason=CloseReason.ERROR)


async def by_an_empty_room(job: Job) -> None:
    """Close the room as LiveKit does when everybody has left."""
    job.stage.job.room.emit("disconnected", rtc.DisconnectReason.ROOM_CLOSED)
    await job.stage.end()


async def by_being_cut_off(job: Job) -> None:
    """End the job as this library does when it is cut off from LiveKit."""
    job.stage.conversation._setup.job_exit.leave("cut off from LiveKit")
    await job.stage.end()


NO_ENDS = {
    "a deploy": by_a_deploy,
    "an error": by_an_error,
    "an empty room": by_an_empty_room,
    "cut off": by_being_cut_off,
}


async def begun(job: Callable[..., Any], **more: Any) -> Job:
    """Return a job whose agent talks with its participant."""
    first: Job = await job(ScriptedLLM(says_goodbye), **more)
    await first.start(Agent(instructions="", tools=[EndCallTool(delete_room=False)]))
    return first


async def session_of(job: Job) -> Session:
    """Return the session as the store has it."""
    await job.stage.conversation.ended()
    loaded = await job.stage.store.load(job.stage.participant, job.stage.conversation.session_id)
    assert loaded is not None
    return loaded.session


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_the_programs_own_call_ends_the_conversation(
    job: Callable[..., Any], end: Callable[[Job], Any]
) -> None:
    """The page and the watchers are told, and the next call begins another conversation."""
    first = await begun(job)
    await end(first)
    assert (await session_of(first)).state is SessionState.ENDED
    assert first.stage.job.marks == MARKED
    following: Job = await job()
    assert following.stage.conversation.session_id != first.stage.conversation.session_id


@pytest.mark.parametrize("end", NO_ENDS.values(), ids=NO_ENDS)
async def test_what_the_program_did_not_do_ends_nothing(
    job: Callable[..., Any], end: Callable[[Job], Any]
) -> None:
    """A participant who is there needs another agent, and gets one. Nobody is in a closed room."""
    first = await begun(job)
    await end(first)
    state = SessionState.AWAY if end is by_an_empty_room else SessionState.LIVE
    assert (await session_of(first)).state is state
    assert first.stage.job.marks == []
    following: Job = await job()
    assert following.stage.conversation.session_id == first.stage.conversation.session_id


async def test_a_lost_lease_ends_nothing(job: Callable[..., Any]) -> None:
    """The conversation is another job's, even if this job's agent session is closed then."""
    first = await begun(job)
    lease = first.stage.conversation._writers.lease
    first.stage.conversation._on_lost(LeaseLost(lease.session_id, 1))
    await first.stage.agent_session.aclose()
    assert (await session_of(first)).state is SessionState.LIVE
    assert first.stage.job.marks == []


async def test_an_agent_that_goes_because_its_participant_has_left_ends_nothing(
    job: Callable[..., Any],
) -> None:
    """Many programs shut down as soon as nobody is there; that may be a reload."""
    first = await begun(job)
    first.stage.job.room.go(first.stage.participant)
    await by_shutdown_of_the_job(first)
    assert (await session_of(first)).state is not SessionState.ENDED
    assert first.stage.job.marks == []


async def test_a_conversation_that_is_kept_goes_on_with_the_next_call(
    job: Callable[..., Any],
) -> None:
    """No agent is sent, as after a leave. The next call continues the record."""
    first = await begun(job, when_agent_ends="keep")
    await by_closing(first)
    assert (await session_of(first)).state is SessionState.AWAY
    assert first.stage.job.marks == MARKED
    following: Job = await job()
    assert following.stage.conversation.session_id == first.stage.conversation.session_id
    assert following.stage.conversation.visit == 2


@pytest.mark.parametrize("others", [0, 1], ids=["nobody since", "taken over since"])
async def test_an_end_in_an_outage_is_made_up_for(
    store: SessionStore,
    redis_url: str,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: int,
) -> None:
    """The room knows it at once, the store from the spool; a job that came since keeps its own."""
    monkeypatch.setattr("session_store.livekit.job.lease_writers.FLUSH_S", 0.2)
    spool = Spool(key_file.parent / "spool")
    redis_port = int(redis_url.rpartition(":")[2].removesuffix("/0"))
    async with Proxy(redis_port) as proxy:
        settings = StoreSettings.model_validate(
            {"redis_url": f"redis://127.0.0.1:{proxy.port}/0", "key_file": key_file}
        )
        through = SessionStore.from_settings(settings)
        first = await Job(through, settings, ScriptedLLM(says_goodbye)).join()
        await first.start(Agent(instructions=""))
        first.stage.conversation._writers._spool = spool
        proxy.cut(Cut.BEFORE, 1_000_000)
        await by_closing(first)
        await first.stage.conversation.ended()
        await through.aclose()
    assert first.stage.job.marks == MARKED
    session_id, who = first.stage.conversation.session_id, first.stage.participant
    for _ in range(others):
        await store.claim_orphan(who, session_id, owner=first.stage.lease_owner)
        await store.join(who, session_id=session_id, exact=True)
    assert (await spool.replay(store)).finished == 1 - others
    loaded = await store.load(who, session_id)
    assert loaded is not None
    assert loaded.session.state is (SessionState.LIVE if others else SessionState.ENDED)


async def test_a_job_that_never_had_the_lease_ends_nothing(
    job: Callable[..., Any], store: SessionStore, settings: StoreSettings
) -> None:
    """It began without the store, beside a job that has the conversation."""
    first = await begun(job)
    session_id = first.stage.conversation.session_id
    other = Job(store, settings, ScriptedLLM(says_goodbye))
    other.stage.begin(session_id=session_id)
    await other.start(Agent(instructions=""))
    await by_closing(other)
    await other.stage.conversation.ended()
    loaded = await store.load(first.stage.participant, session_id)
    assert loaded is not None
    assert loaded.session.state is SessionState.LIVE
