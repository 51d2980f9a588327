"""What the first agent of a job says in its ``on_enter``: noted, and muted after a takeover.

A participant who was there all the time was greeted before. So after a takeover or a handoff, what
the agent says by itself in its ``on_enter`` is muted: ``say`` and ``generate_reply`` return a
speech that is over, and neither the model nor the voice is asked. That lasts until ``on_enter``
returns, awaits a task, hands over to another agent, or the participant speaks. Tasks that
``on_enter`` awaits and background tasks that it starts run in asyncio tasks of their own, and are
never muted.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm

from session_store.livekit.job.versions import enter_through, mute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from livekit.agents import Agent, AgentSession
    from livekit.agents.voice import ConversationItemAddedEvent, UserStateChangedEvent

_entering: Final[ContextVar[bool]] = ContextVar("entering", default=False)
"""Set in the first ``on_enter``, and in all that runs below it."""


class FirstEnter:
    """The first ``on_enter`` of a job."""

    def __init__(self, agent_session: AgentSession[Any], *, is_muted: bool) -> None:
        """Make it; ``of`` begins to look.

        Args:
            agent_session: not started yet.
            is_muted: the participant was there all the time, and was greeted.
        """
        self._agent_session = agent_session
        self.is_muted: Final = is_muted
        """Whether it is muted, at least at its beginning."""
        self.has_spoken = False
        """Whether something was said in it, even if it was muted."""
        self._task: asyncio.Task[Any] | None = None

    def of(self, agent: Agent) -> None:
        """Look at this agent, which is not started yet. Its class needs no change."""
        enter_through(agent, self._enter)

    async def _enter(self, on_enter: Callable[[], Awaitable[Any]]) -> Any:
        self._task = asyncio.current_task()
        _entering.set(True)
        self._agent_session.on("speech_created", self._note)
        unmute = self._mute() if self.is_muted else None
        try:
            return await on_enter()
        finally:
            if unmute is not None:
                unmute()
            self._agent_session.off("speech_created", self._note)

    def _note(self, _: object) -> None:
        # LiveKit reports a speech in the context of the caller who makes it.
        self.has_spoken = self.has_spoken or _entering.get()

    def _mute(self) -> Callable[[], None]:
        """Mute what ``on_enter`` says by itself; return what ends that."""
        unmute = mute(self._agent_session, self._is_swallowed)

        def on_item(event: ConversationItemAddedEvent) -> None:
            item = event.item
            is_transfer = isinstance(item, llm.AgentHandoff) and item.old_agent_id is not None
            if is_transfer or (isinstance(item, llm.ChatMessage) and item.role == "user"):
                unmute()

        def on_state(event: UserStateChangedEvent) -> None:
            if event.new_state == "speaking":
                unmute()

        self._agent_session.on("conversation_item_added", on_item)
        self._agent_session.on("user_state_changed", on_state)

        def end() -> None:
            unmute()
            self._agent_session.off("conversation_item_added", on_item)
            self._agent_session.off("user_state_changed", on_state)

        return end

    def _is_swallowed(self) -> bool:
        """Return whether ``on_enter`` itself is speaking now, and note that it does."""
        if asyncio.current_task() is not self._task:
            return False
        self.has_spoken = True
        return True
