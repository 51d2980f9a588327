"""A voice agent, as in LiveKit's quickstart."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli

from examples.local import load_by_jobs, speech_and_model

load_dotenv(".env.local")


class Assistant(Agent):
    """Talks."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful voice assistant.")


server = AgentServer(load_fnc=load_by_jobs)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    await session.start(agent=Assistant(), room=ctx.room)
    await session.generate_reply(instructions="Greet the person.")


if __name__ == "__main__":
    cli.run_app(server)
