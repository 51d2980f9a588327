"""A worker whose agent hands the call to a human: it closes its session, and the room stays."""

from __future__ import annotations

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, function_tool

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over


class Host(Agent):
    """Connects people."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def transfer_call(self) -> None:
        """Leave the call to a human, who has joined it."""
        self.session.shutdown()


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Host()), **conversation.start_args)
    await conversation.greet(instructions="Greet the person.")
