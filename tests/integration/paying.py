"""A tool that must never run twice, given to an agent in each way that LiveKit has.

Run as a program it is an MCP server with the same tool:
``python -m tests.integration.paying FOLDER [--slow]``.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from livekit.agents import Agent, AgentTask, ToolError, function_tool, llm

LOOK_EVERY_S: Final = 0.05


class Till:
    """Counts payments in a folder, so that those of other processes count too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_slow = True

    @property
    def _answer(self) -> Path:
        """The bank's, for which a slow payment waits."""
        return self.folder / "answer"

    def let_go(self) -> None:
        """Let the payments go through that wait."""
        self._answer.touch()

    @property
    def payments(self) -> int:
        """The number of payments so far."""
        return len(list(self.folder.glob("payment-*")))

    async def pay(self) -> str:
        """Pay, and wait for the bank if it is slow."""
        (self.folder / f"payment-{self.payments + 1}").touch()
        while self.is_slow and not self._answer.exists():
            await asyncio.sleep(LOOK_EVERY_S)
        return "paid, receipt 7"

    def tool(self) -> llm.Tool:
        """Return the tool that the model calls."""

        async def pay() -> str:
            """Pay the bill."""
            return await self.pay()

        return function_tool(pay)


class Reception(Agent):
    """Hands over to billing, which alone can pay."""

    def __init__(self, till: Till) -> None:
        super().__init__(instructions="Hand over.")
        self._till = till

    @function_tool
    async def billing(self) -> Agent:
        """Hand over to billing."""
        return Billing(self._till)


class Billing(Agent):
    """Can pay, and does so as soon as it is there."""

    def __init__(self, till: Till) -> None:
        super().__init__(instructions="Pay.", tools=[till.tool()])

    async def on_enter(self) -> None:
        """Begin."""
        self.session.generate_reply()


class PayTask(AgentTask[None]):
    """A task that is about paying alone."""

    def __init__(self, till: Till) -> None:
        super().__init__(instructions="Pay.", tools=[till.tool()])


class WithTask(Agent):
    """Begins with a task."""

    def __init__(self, till: Till) -> None:
        super().__init__(instructions="Be kind.")
        self._till = till

    async def on_enter(self) -> None:
        """Let the bill be paid first."""
        with suppress(ToolError):  # The session was closed before.
            await PayTask(self._till)


class Late(Agent):
    """Gets its tools when it runs."""

    def __init__(self, tools: list[Any]) -> None:
        super().__init__(instructions="Be kind.")
        self._late = tools

    async def on_enter(self) -> None:
        """Get them."""
        await self.update_tools(self._late)


def main(folder: str, *, is_slow: bool) -> None:
    """Serve the tool over standard input and output."""
    from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 (only this process needs it)

    till = Till(Path(folder))
    till.is_slow = is_slow
    server = MCPServer("till")
    server.tool()(till.pay)
    server.run("stdio")


if __name__ == "__main__":
    main(sys.argv[1], is_slow="--slow" in sys.argv)
