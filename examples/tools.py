"""An agent with a tool: it books tables, and greets in ``on_enter``."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


class Host(Agent):
    """Books tables."""

    def __init__(self) -> None:
        super().__init__(instructions="You book tables in a restaurant.")

    async def on_enter(self) -> None:
        """Greet."""
        await self.session.say("Welcome! For how many people?")

    @function_tool
    async def book_table(self, number: int = 2) -> str:
        """Book a table.

        Args:
            number: for how many people.
        """
        return f"table 7 for {number}"


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session)
    await session.start(await conversation.resume(Host()), **conversation.start_args)
    await conversation.greet()


if __name__ == "__main__":
    cli.run_app(server)
