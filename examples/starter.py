"""A voice agent, as in LiveKit's quickstart."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


class Assistant(Agent):
    """Talks."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful voice assistant.")


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Assistant()), **conversation.start_args)
    await conversation.greet(instructions="Greet the person.")


if __name__ == "__main__":
    cli.run_app(server)
