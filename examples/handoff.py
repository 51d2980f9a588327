"""Two agents: a reception that hands callers over to billing."""

from dotenv import load_dotenv
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, function_tool

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


class Reception(Agent):
    """Finds out what the caller wants."""

    def __init__(self) -> None:
        super().__init__(instructions="Find out what the person wants.")

    async def on_enter(self) -> None:
        """Greet."""
        await self.session.say("Reception, good morning!")

    @function_tool
    async def call_billing(self) -> Agent:
        """Hand over to the billing agent."""
        return Billing()


class Billing(Agent):
    """Answers questions about bills."""

    def __init__(self) -> None:
        super().__init__(instructions="You answer questions about bills.")

    async def on_enter(self) -> None:
        """Greet."""
        await self.session.say("Billing here. Which number has your bill?")

    @function_tool
    async def check_bill(self, number: int = 0) -> str:
        """Look a bill up.

        Args:
            number: of the bill.
        """
        return f"bill {number} is paid"


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession(**speech_and_model())
    conversation = await persist(ctx, session, agents=[Reception, Billing])
    await session.start(await conversation.resume(), **conversation.start_args)
    await conversation.greet()


if __name__ == "__main__":
    cli.run_app(server)
