"""Giving an agent the conversation so far, before it starts or while it runs."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from session_store.livekit.job.chat_items import chat_context
from session_store.livekit.job.versions import (
    context_of,
    enter_through,
    extend_context,
    update_context,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from livekit.agents import Agent, AgentSession, SpeechCreatedEvent, llm

    from session_store.models import RecordedTurn

logger = logging.getLogger(__name__)

_quiet: Final[ContextVar[bool]] = ContextVar("quiet", default=False)
"""Set while an ``on_enter`` runs whose words must not be heard."""


async def resume(
    agent_session: AgentSession[Any], agent: Agent, chat_ctx: llm.ChatContext, *, quiet: bool
) -> None:
    """Give an agent the conversation so far, behind what its context already holds.

    Args:
        agent_session: not started yet.
        agent: the one that ``agent_session.start`` gets. Its class needs no change.
        chat_ctx: the conversation so far.
        quiet: run the agent's ``on_enter``, but silence what it says: the participant was greeted.
    """
    await extend_context(agent, chat_ctx)
    if quiet:
        _enter_quietly(agent_session, agent)


async def recall(
    agent_session: AgentSession[Any], before: Sequence[RecordedTurn], *, newest: int
) -> None:
    """Give the running agent what was said before this job, in front of what was said since.

    Args:
        agent_session: the running session. If its agent cannot be updated, it goes on as it is.
        before: what was said before.
        newest: how many items of it the model is given.
    """
    try:
        context = context_of(agent_session)
        known = {item.id for item in context.items}
        earlier = chat_context(before, newest).items
        context.insert([item for item in earlier if item.id not in known])
        await update_context(agent_session, context)
    except Exception as error:  # noqa: BLE001 (plugins raise what they like)
        extra = {"error": type(error).__name__}
        logger.warning("the model cannot be given the earlier conversation", extra=extra)


def _enter_quietly(agent_session: AgentSession[Any], agent: Agent) -> None:
    def cancel(event: SpeechCreatedEvent) -> None:
        if _quiet.get():
            event.speech_handle.interrupt(force=True)

    async def enter(on_enter: Callable[[], Awaitable[Any]]) -> Any:
        _quiet.set(True)
        agent_session.on("speech_created", cancel)
        try:
            return await on_enter()
        finally:
            agent_session.off("speech_created", cancel)

    enter_through(agent, enter)
