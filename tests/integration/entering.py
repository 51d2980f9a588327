"""Agents that enter in each way that LiveKit's guides show."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from livekit.agents import Agent, AgentTask, function_tool
from livekit.agents.llm import tool_context

from session_store.livekit.job.versions import AGENTS_HAVE_CONTEXTS

GREETING: Final = "Good morning!"
DONE: Final = "Thank you, that was all."
BACK: Final = "There you are again."
FOR_MODEL: Final = "Greet the caller."


class Waiting(Agent):
    """Waits to be spoken to."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")


class Practice(Agent):
    """Greets by its voice."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")
        self.entered = 0

    async def on_enter(self) -> None:
        """Greet."""
        self.entered += 1
        await self.session.say(GREETING)


class ByModel(Agent):
    """Greets by its model."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")
        self.replies: list[Any] = []

    async def on_enter(self) -> None:
        """Greet, and wait until that is said."""
        self.replies.append(await self.session.generate_reply(instructions=FOR_MODEL))


class Question(AgentTask[str]):
    """Asks one question, until it is answered."""

    def __init__(self, question: str) -> None:
        super().__init__(instructions=f"Ask: {question}")
        self._question = question

    async def on_enter(self) -> None:
        """Ask."""
        await self.session.say(self._question)

    @function_tool
    async def note_answer(self, answer: str = "") -> Any:
        """Note the answer.

        Args:
            answer: what the person said.
        """
        if AGENTS_HAVE_CONTEXTS:
            return self.complete(answer)
        tools: Any = tool_context
        return tools.Completed(answer)  # As tasks end from 2.0 on.


class Returning(Practice):
    """Says something else to a caller who comes back, and asks a question in a task."""

    async def on_return(self) -> None:
        """Welcome the caller back."""
        await self.session.say(BACK)
        await Question("And now?")


QUESTIONS: Final = ("Your name?", "Your age?", "Do you smoke?")


class Interview(Agent):
    """Greets, and asks three questions."""

    def __init__(self) -> None:
        super().__init__(instructions="Be kind.")

    async def on_enter(self) -> None:
        """Ask them all, one after the other."""
        await self.session.say(GREETING)
        for question in QUESTIONS:
            await Question(question)
        await self.session.say(DONE)


class Busy(Agent):
    """Greets, and has something said beside that."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")
        self.may_go_on = asyncio.Event()
        self._beside: asyncio.Task[Any] | None = None

    async def on_enter(self) -> None:
        """Speak before and after the wait, and beside it."""
        self._beside = asyncio.create_task(self._remind())
        await self.session.say(GREETING)
        await self.may_go_on.wait()
        await self.session.say(DONE)

    async def _remind(self) -> None:
        await self.session.say("The practice closes at six.")
