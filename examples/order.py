"""A drive-through: the order is the agent session's ``userdata``, and outlives the job."""

from dataclasses import dataclass, field

from dotenv import load_dotenv
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    RunContext,
    cli,
    function_tool,
)

from examples.local import load_by_jobs, speech_and_model
from session_store.livekit import persist, watch_over

load_dotenv(".env.local")


@dataclass
class Order:
    """What is ordered so far."""

    dishes: list[int] = field(default_factory=list)


class Waiter(Agent):
    """Takes an order."""

    def __init__(self) -> None:
        super().__init__(instructions="You take orders at a drive-through.")

    async def on_enter(self) -> None:
        """Greet."""
        await self.session.say("Welcome! Which dish?")

    @function_tool
    async def add_dish(self, context: RunContext[Order], number: int = 1) -> str:
        """Add a dish to the order.

        Args:
            context: of the conversation.
            number: of the dish on the menu.
        """
        context.userdata.dishes.append(number)
        return f"dish {number} is on your order"

    @function_tool
    async def read_order(self, context: RunContext[Order]) -> str:
        """Say what is ordered so far."""
        return ", ".join(f"dish {number}" for number in context.userdata.dishes)


server = AgentServer(load_fnc=load_by_jobs)
watch_over(server)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Hold one conversation."""
    session = AgentSession[Order](userdata=Order(), **speech_and_model())
    conversation = await persist(ctx, session, state=Order)
    await session.start(await conversation.resume(Waiter()), **conversation.start_args)
    await conversation.greet()


if __name__ == "__main__":
    cli.run_app(server)
