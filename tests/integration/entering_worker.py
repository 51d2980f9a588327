"""A worker with the agents of ``entering``: the file ``ENTERS`` names the one that begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from livekit.agents import AgentServer, AgentSession, JobContext

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over
from tests.integration import entering

if TYPE_CHECKING:
    from livekit.agents import Agent

NAMED_IN: Final = Path(os.environ["ENTERS"])


def first_agent() -> Agent:
    """Return the agent that begins."""
    agent: Agent = getattr(entering, NAMED_IN.read_text())()
    return agent


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(first_agent()), **conversation.start_args)
    await conversation.greet()
