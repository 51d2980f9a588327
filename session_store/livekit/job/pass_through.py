"""A conversation that nothing is kept of: in LiveKit's console and tests, or switched off."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from livekit.agents import llm
from typing_extensions import override

from session_store.livekit.job.active_agent import goes_on
from session_store.livekit.job.conversation import Conversation
from session_store.livekit.job.entry import EntryKind
from session_store.livekit.job.greeting import Visit, speak
from session_store.models import SessionContent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from livekit.agents import Agent, AgentSession, JobContext, stt, tts
    from livekit.agents.voice.room_io import RoomOptions

    from session_store.livekit.job.active_agent import AgentOrMaker
    from session_store.livekit.job.kept_state import KeptState

    SomeAgent = TypeVar("SomeAgent", bound=Agent)

logger = logging.getLogger(__name__)


def own_start_args(ctx: JobContext, room_options: RoomOptions | None) -> dict[str, Any]:
    """Return the keyword arguments for ``agent_session.start`` in a job without a room of ours.

    LiveKit's test helper makes a room that is connected to nothing, and an agent session that
    starts in it fails. Without a room it talks to the test.
    """
    own = {} if room_options is None else {"room_options": room_options}
    return {"room": ctx.room, **own} if ctx.room.isconnected() else own


class PassThrough(Conversation):
    """Has everything that a conversation has, and lets LiveKit do what it does without us.

    It is new, greets as such, and knows what was said in this job alone. Its participant may be
    anybody in the room.
    """

    def __init__(  # noqa: PLR0913 (most are those of persist)
        self,
        ctx: JobContext,
        agent_session: AgentSession[Any],
        kept_state: KeptState,
        *,
        agents: Sequence[AgentOrMaker],
        room_options: RoomOptions | None,
        words: Callable[[Visit], str] | None,
        why: str,
    ) -> None:
        """Make it.

        Args:
            ctx: the job.
            agent_session: not started yet.
            kept_state: the program's, which is new.
            agents: as ``persist`` was given them.
            room_options: as ``persist`` was given them.
            words: as ``persist`` was given it.
            why: for the one log line that says that nothing is kept.
        """
        self._ctx = ctx
        self._agent_session = agent_session
        self._kept_state = kept_state
        self._agents = agents
        self._room_options = room_options
        self._words = words
        self._content = SessionContent()
        self._listeners: list[Callable[[], None]] = []
        self._over = asyncio.Event()
        self.chat_ctx = llm.ChatContext.empty()
        """The conversation so far: nothing."""
        logger.warning("nothing is kept of this conversation", extra={"why": why})
        ctx.add_shutdown_callback(self._end)

    @property
    @override
    def start_args(self) -> dict[str, Any]:
        """As for a conversation that is kept, but the room options are yours alone."""
        return own_start_args(self._ctx, self._room_options)

    @property
    @override
    def content(self) -> SessionContent:
        return self._content

    @property
    @override
    def session_id(self) -> str:
        """Empty: there is no session."""
        return ""

    @property
    @override
    def visit(self) -> int:
        return 1

    @property
    @override
    def is_new(self) -> bool:
        return True

    @property
    @override
    def entry(self) -> EntryKind:
        return EntryKind.NEW

    @property
    @override
    def gap(self) -> timedelta:
        return timedelta(0)

    @property
    @override
    def active_agent(self) -> str | None:
        return None

    @property
    @override
    def state(self) -> Any:
        return self._kept_state.value

    @property
    @override
    def state_error(self) -> None:
        return None

    @overload
    async def resume(self, agent: SomeAgent) -> SomeAgent: ...
    @overload
    async def resume(self) -> Agent: ...
    @override
    async def resume(self, agent: Agent | None = None) -> Agent:
        """Return the agent as it is; without one, the first of ``agents``."""
        return goes_on(self._agents, ()) if agent is None else agent

    @override
    def change(self, change: Callable[[SessionContent], SessionContent]) -> None:
        """Change the content, for this job."""
        before, self._content = self._content, change(self._content)
        if self._content != before:
            for listener in self._listeners:
                listener()

    @override
    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    @override
    def watch(self, *models: stt.STT[Any] | tts.TTS[Any]) -> None:
        """A no-op."""

    @override
    async def greet(self, instructions: str | None = None) -> None:
        """Greet, as at a first visit."""
        visit = Visit(number=1, language=self._content.language, name=None)
        if self._words is not None:
            if words := self._words(visit):
                speak(self._agent_session, words)
        elif instructions:
            self._agent_session.generate_reply(instructions=instructions)

    @override
    async def erase(self) -> None:
        """Forget the content. Nothing else is kept."""
        self.change(lambda _: SessionContent())

    @override
    async def finish(self) -> None:
        """End the job."""
        self._ctx.shutdown("the conversation is finished")

    @override
    async def ended(self) -> None:
        await self._over.wait()

    async def _end(self) -> None:
        self._over.set()
