"""Giving an agent the conversation so far, before it starts or while it runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm

from session_store.livekit.job.model_context import chat_context, merged
from session_store.livekit.job.versions import (
    context_of,
    tool_names_of,
    update_context,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from livekit.agents import AgentSession

    from session_store.models import RecordedTurn

logger = logging.getLogger(__name__)

_OF_TOOLS: Final = (llm.FunctionCall, llm.FunctionCallOutput)


async def restore_calls(agent_session: AgentSession[Any], chat_ctx: llm.ChatContext) -> None:
    """Give the running agent the tool calls of earlier jobs that its context lacks.

    A model that does not see a call makes it again. LiveKit takes the calls out of tools that an
    agent does not have, or not yet: those of MCP servers and of ``update_tools`` come when it runs.
    An agent that is handed to, or a task, begins with a context of its own: it gets the calls of
    its tools.

    Args:
        agent_session: the running session. If its agent cannot be updated, it goes on as it is.
        chat_ctx: what ``resume`` gave the first agent.
    """
    try:
        context = context_of(agent_session)
        known = {item.id for item in context.items}
        is_other = known.isdisjoint(item.id for item in chat_ctx.items)
        names = tool_names_of(agent_session)
        of_tools = [
            item
            for item in chat_ctx.items
            if item.id in known
            or (isinstance(item, _OF_TOOLS) and (item.name in names or not is_other))
        ]
        if any(item.id not in known for item in of_tools):
            await update_context(agent_session, merged(context, llm.ChatContext(of_tools)))
    except Exception as error:  # noqa: BLE001 (plugins raise what they like)
        extra = {"error": type(error).__name__}
        logger.warning("the model cannot be given the earlier tool calls", extra=extra)


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
        context = merged(context_of(agent_session), chat_context(before, newest))
        await update_context(agent_session, context)
    except Exception as error:  # noqa: BLE001 (plugins raise what they like)
        extra = {"error": type(error).__name__}
        logger.warning("the model cannot be given the earlier conversation", extra=extra)
