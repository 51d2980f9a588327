"""Jobs of one conversation, one after another, in rooms that the test directs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, AgentSession, llm

from examples.local import LocalLLM
from session_store.livekit.job.chat_items import item_of
from tests.integration.stage import Stage
from tests.integration.test_store import age

if TYPE_CHECKING:
    from session_store import SessionStore, StoreSettings


class Job:
    """One job of an entry point that lets its agents greet in ``on_enter``."""

    def __init__(
        self, store: SessionStore, settings: StoreSettings, model: Any = None, **more: Any
    ) -> None:
        self.stage = Stage(store, settings)
        self.stage.when_agent_ends = more.pop("when_agent_ends", "finish")
        self.stage.agent_session = AgentSession(llm=model or LocalLLM(), **more)

    async def join(self) -> Job:
        """Take the conversation."""
        self.stage.words = None
        await self.stage.join()
        return self

    async def start(self, agent: Agent) -> Job:
        """Start with this agent, and greet."""
        await self.stage.start_with(agent)
        return self

    async def ask(self, text: str) -> None:
        """Say something to the agent, and wait until it was answered."""
        await self.stage.agent_session.generate_reply(user_input=text)

    async def type(self, text: str) -> None:
        """Type a message, as a page does."""
        info = SimpleNamespace(attributes={"rj.msg": f"typed-{text}"})
        event: Any = SimpleNamespace(text=text, info=info)
        await self.stage.conversation._typed.receive(self.stage.agent_session, event)

    def said(self) -> list[str]:
        """Return what agents are recorded to have said, from the beginning."""
        turns = [each.turn for each in self.stage.conversation._writers.transcript.turns]
        return [turn.text for turn in turns if turn.role == "assistant"]

    def outputs(self, tool: str) -> list[str]:
        """Return the outputs of a tool that are recorded, from the beginning."""
        items = [item_of(each.turn) for each in self.stage.conversation._writers.transcript.turns]
        return [
            item.output
            for item in items
            if isinstance(item, llm.FunctionCallOutput) and item.name == tool
        ]

    async def until_said(self, words: str) -> None:
        """Wait until an agent has said this."""
        await self.stage.until(lambda: words in self.said())

    async def die(self, raw: Any) -> None:
        """End as SIGKILL does; the lease has run out afterwards."""
        assert await self.stage.conversation._writers.recorder.flush(5)
        await self.stage.die()
        await age(raw, self.stage.store, "maria", self.stage.conversation.session_id, 4)
