"""A voice agent on a speech-to-speech model. It needs ``OPENAI_API_KEY``."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool
from livekit.plugins import openai

from examples.local import load_by_jobs
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


class Assistant(Agent):
    """Talks, and tells the weather."""

    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful voice assistant.")

    @function_tool
    async def check_weather(self) -> str:
        """Look out of the window."""
        return "sunny"


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession[None](llm=openai.realtime.RealtimeModel(voice="marin"))
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Assistant()), **conversation.start_args)
    await conversation.greet(instructions="Greet the person.")


if __name__ == "__main__":
    cli.run_app(server)
