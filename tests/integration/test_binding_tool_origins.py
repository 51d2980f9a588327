"""A payment runs once, wherever its tool comes from, and whenever its job dies."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from livekit.agents import Agent, llm

from session_store.livekit.job.versions import AGENTS_HAVE_CONTEXTS
from tests.integration.paying import Late, PayTask, Reception, Till, WithTask
from tests.integration.scripted import ScriptedLLM, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.following_jobs import Job

ORIGINS: Final = ("agent", "session", "update_tools", "toolset", "MCP", "transfer", "task")


class Eager(ScriptedLLM):
    """Pays whenever it may and does not see that it has paid."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    def _answer(self, context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        outputs = {
            item.name: item.output
            for item in context.items
            if isinstance(item, llm.FunctionCallOutput)
        }
        names = self.tools[-1]
        if "pay" in outputs:
            return f"It says: {outputs['pay']}"
        if not any(message.role == "user" for message in context.messages()):
            return "How can I help?" if names != ["pay"] else [call("pay")]
        if "pay" in names:
            return [call("pay")]
        return [call("billing")] if "billing" in names else "I cannot pay."


def agent_with(origin: str, till: Till) -> tuple[Agent, dict[str, Any]]:
    """Return an agent that can pay, and what its agent session is given."""
    tools = [till.tool()]
    bank = llm.Toolset(id="bank", tools=tools)
    agents: dict[str, Callable[[], Agent]] = {
        "agent": lambda: Agent(instructions="Be kind.", tools=[*tools]),
        "toolset": lambda: Agent(instructions="Be kind.", tools=[bank]),
        "update_tools": lambda: Late(tools),
        "transfer": lambda: Reception(till),
        "task": lambda: WithTask(till),
    }
    program = ["-m", "tests.integration.paying", str(till.folder)]
    program += ["--slow"] if till.is_slow else []
    more: dict[str, dict[str, Any]] = {
        "session": {"tools": tools},
    }
    if origin == "MCP":
        from livekit.agents import mcp  # noqa: PLC0415 (not every version is installed with it)

        more["MCP"] = {"mcp_servers": [mcp.MCPServerStdio(sys.executable, program)]}
    return agents.get(origin, lambda: Agent(instructions="Be kind."))(), more.get(origin, {})


def has_begun(job: Job, words: str) -> bool:
    """Say something; return whether LiveKit took it. It does not while agents change."""
    try:
        job.stage.agent_session.generate_reply(user_input=words)
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("moment", ["while it runs", "before the answer"])
@pytest.mark.parametrize("origin", ORIGINS)
async def test_no_tool_runs_twice(
    job: Callable[..., Any], raw: Any, tmp_path: Path, origin: str, moment: str
) -> None:
    """The successor says what is known, and its first answer calls no tool of unknown outcome."""
    if origin == "update_tools" and not AGENTS_HAVE_CONTEXTS:
        pytest.skip("agents of 2.0 keep their tools")
    if origin == "MCP":
        pytest.importorskip("mcp.server.mcpserver")
    till = Till(tmp_path)
    till.is_slow = moment == "while it runs"
    agent, more = agent_with(origin, till)
    dead = Eager()
    dead.may_speak.clear()
    first: Job = await job(dead, **more)
    await first.start(agent)
    await first.stage.until(lambda: isinstance(first.stage.agent, PayTask) == (origin == "task"))
    await first.stage.until(lambda: has_begun(first, "please pay"))
    await first.stage.until(lambda: till.payments == 1)
    if not till.is_slow:
        await first.stage.until(lambda: first.outputs("pay") != [])
    await first.die(raw)
    till.let_go()
    dead.may_speak.set()

    till.is_slow = False
    agent, more = agent_with(origin, till)
    model = Eager()
    second: Job = await job(model, **more)
    await second.start(agent)
    known = "receipt 7" if moment == "before the answer" else "outcome unknown"
    await second.stage.until(lambda: any(known in words for words in second.said()))
    if moment == "while it runs":
        assert model.tools[-1] == []
    await second.ask("and now?")
    assert till.payments == 1
