"""Who ends a job: the program on purpose, or something else. After the first, nobody is sent.

LiveKit tells nobody. Its runner of jobs closes the agent session of every job that ends, for
whatever reason, by the same call as a program: so both have the reason ``USER_INITIATED``. So the
caller decides.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from livekit import rtc
from livekit.agents import CloseReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession, JobContext
    from livekit.agents.voice import CloseEvent

logger = logging.getLogger(__name__)

_DELETED: Final = rtc.DisconnectReason.ROOM_DELETED
_RUNNER: Final = "livekit.agents.ipc."
"""How the names of LiveKit's modules begin that run jobs."""


class JobExit:
    """The way out of one job.

    The program ends a conversation by a call of its own while its participant is in the room: it
    closes the agent session, shuts the job down, or deletes the room. A program that does so
    because the participant has left ends nothing: the participant may come back.
    """

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self._is_ours = False
        self._identity: str | None = None
        self.is_programs = False
        """Whether the program has ended the conversation."""
        self.is_room_closed = False
        """Whether LiveKit has closed the room, as it does once everybody but agents has left. If
        that happens at the moment of the last departure, the job is not told of the departure."""
        self._shut_down = ctx.shutdown
        self._listen_to(ctx, "shutdown")

    def leave(self, reason: str) -> None:
        """End the job, not on behalf of the program."""
        self._is_ours = True
        self._shut_down(reason)

    def watch(self, agent_session: AgentSession[Any], identity: str) -> None:
        """Watch for the end of a conversation with this participant."""
        self._identity = identity
        self._listen_to(agent_session, "shutdown")
        self._listen_to(agent_session, "aclose")
        self._ctx.room.on("disconnected", self._on_disconnected)

    def _listen_to(self, ends: object, name: str) -> None:
        """Note each call of a method by the program."""
        method: Callable[..., Any] = getattr(ends, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            caller: str = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 (see above)
            if not caller.startswith(_RUNNER):
                self._note_program()
            return method(*args, **kwargs)

        # The instance's own attribute hides the method of its class.
        setattr(ends, name, noted)

    def closed(self, event: CloseEvent) -> None:
        """Note that the agent session has closed. Call it before ``leave``."""
        if event.reason is CloseReason.TASK_COMPLETED:
            self._note_program()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.is_room_closed = reason == rtc.DisconnectReason.ROOM_CLOSED
        # Whoever deletes a room ends the call in it, by whatever way to LiveKit's API.
        if reason == _DELETED and not self._is_ours and self._identity is not None:
            self._end("the room was deleted")

    def _note_program(self) -> None:
        if self._is_ours or self._identity is None:
            return
        if self._identity in self._ctx.room.remote_participants:
            self._end("the agent ended it")

    def _end(self, why: str) -> None:
        if not self.is_programs:
            self.is_programs = True
            logger.info("the program ends the conversation", extra={"why": why})
