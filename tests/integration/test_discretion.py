"""What LiveKit itself logs of a conversation that goes wrong, with our discretion in front."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import Agent, AgentSession, APIStatusError, function_tool, llm
from livekit.agents.types import APIConnectOptions

from dev.rig.net import NET_S
from session_store.logs import LogSettings, configure
from tests.e2e.forms import found_in
from tests.integration.scripted import ScriptedLLM, call

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = ["Leonardo", "parrot", "Philippa"]
SAID = "I am Philippa, and my parrot is called Leonardo"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Log all there is, as a job's process does, into memory."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(LogSettings(log_format="json", log_level="DEBUG"), stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def messages(log: io.StringIO) -> list[str]:
    """Return the messages, each of a line that is valid JSON."""
    return [json.loads(line)["message"] for line in log.getvalue().splitlines()]


class Refusing(llm.LLM[str]):
    """A provider that quotes the prompt in its refusals."""

    def chat(self, *, chat_ctx: llm.ChatContext, **_: Any) -> llm.LLMStream:
        """Refuse."""
        options = APIConnectOptions(max_retry=1, retry_interval=0.01)
        return _Refusal(self, chat_ctx=chat_ctx, tools=[], conn_options=options)


class _Refusal(llm.LLMStream):
    async def _run(self) -> None:
        raise APIStatusError(
            f"cannot answer {SAID!r}", status_code=429, body={"error": {"input": SAID}}
        )


class Host(Agent):
    """Has a tool that fails with what it was given."""

    def __init__(self) -> None:
        super().__init__(instructions="Talk.")

    @function_tool
    async def keep(self, what: str) -> None:
        """Keep something.

        Args:
            what: it.
        """
        raise ValueError(what)


async def test_a_provider_s_answer_is_not_logged(log: io.StringIO) -> None:
    """That it failed is, and with which status, at each try."""
    async with AgentSession(llm=Refusing()) as session:
        await session.start(Host())
        closed = asyncio.Event()
        session.on("close", lambda _: closed.set())
        async with asyncio.timeout(NET_S):
            # Until LiveKit ends the session, and says why.
            while not closed.is_set():
                with suppress(RuntimeError):
                    await session.generate_reply(user_input=SAID)
                await asyncio.sleep(0)

    told = messages(log)
    assert "failed to generate LLM completion: (withheld)" in told
    assert "AgentSession is closing due to unrecoverable error: (withheld)" in told
    assert "livekit.agents._exceptions.APIStatusError: status 429" in log.getvalue()
    assert found_in(log.getvalue().encode(), WORDS) == []


async def test_what_a_tool_was_given_is_not_logged(log: io.StringIO) -> None:
    """That it failed is, and where."""

    def script(context: llm.ChatContext) -> str | list[llm.FunctionToolCall]:
        if isinstance(context.items[-1], llm.FunctionCallOutput):
            return "I could not."
        return [call("keep", json.dumps({"what": SAID}))]

    model = ScriptedLLM(script)
    async with AgentSession(llm=model) as session:
        await session.start(Host())
        await asyncio.wait_for(session.generate_reply(user_input=SAID), NET_S)

    told = log.getvalue()
    assert "exception occurred while executing tool" in told
    assert "ValueError" in told
    assert "in keep" in told
    assert found_in(told.encode(), WORDS) == []


async def test_a_task_that_nobody_awaited_is_named_alone(log: io.StringIO) -> None:
    """Asyncio quotes the error of a task that was never awaited."""

    async def fail() -> None:
        raise ValueError(SAID)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()

    assert messages(log)[-1] == "Task exception was never retrieved (withheld)"
    assert found_in(log.getvalue().encode(), WORDS) == []
