"""Resuming: an agent that starts in the middle of a conversation, and knows of its beginning."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livekit.agents import Agent, AgentSession, SpeechCreatedEvent, llm

logger = logging.getLogger(__name__)

_quiet: Final[ContextVar[bool]] = ContextVar("quiet", default=False)
"""Set in all that an ``on_enter`` does whose words nobody should hear."""


async def resume(
    agent_session: AgentSession[Any], agent: Agent, chat_ctx: llm.ChatContext, *, quiet: bool
) -> None:
    """Give an agent the conversation so far, behind what it has in its context by itself.

    Args:
        agent_session: not started yet.
        agent: the one that ``agent_session.start`` gets. Its class needs no change.
        chat_ctx: what was said.
        quiet: run its ``on_enter``, but say nothing of what that says: the person was greeted.
    """
    context = agent.chat_ctx.copy()
    context.items.extend(chat_ctx.items)
    # LiveKit drops the calls of tools that this agent has not.
    await agent.update_chat_ctx(context)
    if quiet:
        _enter_quietly(agent_session, agent)


def _enter_quietly(agent_session: AgentSession[Any], agent: Agent) -> None:
    on_enter = agent.on_enter

    def cancel(event: SpeechCreatedEvent) -> None:
        if _quiet.get():
            event.speech_handle.interrupt(force=True)

    async def enter() -> None:
        # An agent that is returned to later greets as it likes.
        del agent.on_enter
        _quiet.set(True)
        agent_session.on("speech_created", cancel)
        try:
            await on_enter()
        finally:
            agent_session.off("speech_created", cancel)

    # The instance's own attribute hides the method of its class.
    agent.on_enter = enter  # type: ignore[method-assign]
