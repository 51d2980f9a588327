"""Agents that work on something: an order, and notes of their own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent, AgentSession, RunContext, function_tool, llm

from tests.integration.scripted import ScriptedLLM, call


@dataclass
class Order:
    """What is ordered, and by whom."""

    items: list[str] = field(default_factory=list)
    name: str | None = None
    kitchen: Any = None
    """A connection, which cannot be kept."""


class Waiter(Agent):
    """Takes an order, and counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.asked = 0
        self.is_ready = asyncio.Event()

    def dump_state(self) -> Any:
        """Return what is kept of this agent."""
        return {"asked": self.asked}

    def load_state(self, state: Any) -> None:
        """Take it back."""
        self.asked = state["asked"]

    @function_tool
    async def add(self, context: RunContext[Order], item: str = "") -> str:
        """Add something to the order."""
        self.asked += 1
        context.userdata.items.append(item)
        return f"{item} is on the order"

    @function_tool
    async def cook(self, context: RunContext[Order], item: str = "") -> str:
        """Add something that takes its time."""
        context.userdata.items.append(item)
        await self.is_ready.wait()
        return f"{item} is ready"

    @function_tool
    async def pay(self, context: RunContext[Order]) -> Agent:
        """Hand over to the till."""
        context.userdata.name = "Maria"
        return Till()


class Till(Agent):
    """Takes the money."""

    def __init__(self) -> None:
        super().__init__(instructions="")


def waiting_model() -> ScriptedLLM:
    """Return a model that calls the tool that the last words name: "add tea"."""

    def answer(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        last = context.items[-1]
        if isinstance(last, llm.FunctionCallOutput):
            return f"Done: {last.output}."
        words = (last.text_content or "").split() if isinstance(last, llm.ChatMessage) else []
        if words and words[0] in {"add", "cook"}:
            return [call(words[0], f'{{"item": "{words[1]}"}}')]
        return [call("pay")] if words == ["pay"] else "Yes."

    return ScriptedLLM(answer)


def order_of(agent_session: AgentSession[Any]) -> list[str]:
    """Return what is ordered."""
    items: list[str] = agent_session.userdata.items
    return items
