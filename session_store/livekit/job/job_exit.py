"""Who ends a job: the program on purpose, or something else. After the first, nobody is sent.

LiveKit gives ``JOB_SHUTDOWN`` as the reason both when the program shuts the job down and when the
worker does. So the caller decides.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from livekit import rtc
from livekit.agents import CloseReason

if TYPE_CHECKING:
    from livekit.agents import AgentSession, JobContext
    from livekit.agents.voice import CloseEvent

logger = logging.getLogger(__name__)

_BY_PROGRAM: Final = frozenset({CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED})
"""``shutdown`` and ``aclose`` of the agent session, ``EndCallTool``, a task that is done."""
_DELETED: Final = rtc.DisconnectReason.ROOM_DELETED


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
        shut_down = ctx.shutdown

        def noted(*args: Any, **kwargs: Any) -> None:
            self._note_program()
            shut_down(*args, **kwargs)

        # The instance's own attribute hides the method: LiveKit tells nobody who called it.
        ctx.shutdown = noted  # type: ignore[method-assign]
        self._shut_down = shut_down

    def leave(self, reason: str) -> None:
        """End the job, not on behalf of the program."""
        self._is_ours = True
        self._shut_down(reason)

    def watch(self, agent_session: AgentSession[Any], identity: str) -> None:
        """Watch for the end of a conversation with this participant. Call it before others do."""
        self._identity = identity
        agent_session.on("close", self._on_close)
        self._ctx.room.on("disconnected", self._on_disconnected)

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason in _BY_PROGRAM:
            self._note_program()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
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
