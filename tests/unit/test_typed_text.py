"""Typed messages, through a real AgentSession with a model that answers at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm
from livekit.agents.voice.room_io import TextInputEvent

from demo_models.llm import RuleLLM
from dev.rig.net import NET_S
from session_store import InvalidValue
from session_store.livekit.job.typed_text import MAX_TYPED_CHARS, MESSAGE_ID, TypedText

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Desk:
    """An agent that is typed to, and what became of each message."""

    def __init__(self, agent_session: AgentSession[Any]) -> None:
        self.agent_session = agent_session
        self.recorded: list[llm.ChatMessage] = []
        self.refused: list[tuple[str, str]] = []
        self.typed = TypedText(
            known=lambda message_id: message_id in [each.id for each in self.recorded],
            record=self._record,
            refuse=lambda *why: self.refused.append(why),
        )

    async def type(self, text: str, message_id: str) -> None:
        """Receive a message as RoomIO would hand it over."""
        info = rtc.TextStreamInfo(
            stream_id="s",
            mime_type="text/plain",
            topic="lk.chat",
            timestamp=0,
            size=None,
            attributes={MESSAGE_ID: message_id},
            attachments=[],
        )
        await self.typed.receive(self.agent_session, TextInputEvent(text=text, info=info))

    async def answers(self, count: int) -> list[str]:
        """Wait for so many answers; return them."""
        async with asyncio.timeout(NET_S):
            while len(said := self._said()) < count:
                await asyncio.sleep(0.01)
        return said

    def _said(self) -> list[str]:
        messages = self.agent_session.history.messages()
        return [each.text_content or "" for each in messages if each.role == "assistant"]

    def _record(self, message: llm.ChatMessage) -> bool:
        if (message.text_content or "").startswith("\N{BELL}"):
            raise InvalidValue("not to be kept")
        self.recorded.append(message)
        return True


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Start an agent session without a room."""
    async with AgentSession(llm=RuleLLM()) as agent_session:
        await agent_session.start(
            Agent(instructions='<memory>{"visit": 1, "language": "en"}</memory>')
        )
        yield Desk(agent_session)


async def test_messages_that_come_at_once_are_answered_one_after_another(desk: Desk) -> None:
    """Each gets an answer of its own, and the model sees each as the newest."""
    said = ["hello", "how often was I here?", "what did we talk about?"]
    await asyncio.gather(*(desk.type(text, f"id-{text}") for text in said))
    answers = await desk.answers(3)
    assert [each.text_content for each in desk.recorded] == said
    assert [each.id for each in desk.recorded] == [f"id-{text}" for text in said]
    assert "first" in answers[1]
    assert len(set(answers)) == 3


async def test_a_message_that_comes_twice_is_answered_once(desk: Desk) -> None:
    """A page that did not see its record sends again; the id tells."""
    await desk.type("hello", "same")
    await desk.type("hello", "same")
    await desk.type("how often was I here?", "other")
    assert len(await desk.answers(2)) == 2
    assert [each.id for each in desk.recorded] == ["same", "other"]


async def test_a_message_that_is_too_long_is_refused(desk: Desk) -> None:
    """The sender is told what to do, and nothing is recorded."""
    await desk.type("x" * (MAX_TYPED_CHARS + 1), "long")
    (message_id, reason) = desk.refused[0]
    assert message_id == "long"
    assert "Please keep it under 4000" in reason
    assert desk.recorded == []


async def test_a_message_that_cannot_be_kept_is_refused(desk: Desk) -> None:
    """It is not answered either: an answer to nothing would be all that is left of it."""
    await desk.type("\N{BELL} ring", "bell")
    assert [message_id for message_id, _ in desk.refused] == ["bell"]


async def test_a_repeated_message_does_not_cut_the_agent_off(desk: Desk) -> None:
    """A page that sends again, out of caution, must not silence the answer."""
    await desk.type("hello", "same")
    await desk.answers(1)
    handle = desk.agent_session.say("A long sentence.", allow_interruptions=True)
    await desk.type("hello", "same")
    await handle
    assert not handle.interrupted


async def test_an_empty_message_is_nothing(desk: Desk) -> None:
    """Blanks are neither recorded nor answered."""
    await desk.type(" \n ", "blank")
    assert (desk.recorded, desk.refused) == ([], [])
