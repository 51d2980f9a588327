"""An agent that ends the call when it is asked to, with LiveKit's own tool."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from livekit.agents.beta.tools import EndCallTool

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


class Host(Agent):
    """Talks, and says goodbye."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.", tools=[EndCallTool()])


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Host()), **conversation.start_args)
    await conversation.greet(instructions="Greet the person.")


if __name__ == "__main__":
    cli.run_app(server)
