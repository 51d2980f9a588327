"""How a conversation ends in its job: with the job, by a lost lease, by an erasure, or for good."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from session_store.errors import LeaseLost, SessionGone, SessionStoreError, StoreUnavailable
from session_store.livekit.job.ended_mark import mark_as_ended
from session_store.livekit.job.greeting import fall_silent
from session_store.livekit.job.next_caller import send_another
from session_store.livekit.job.other_agents import is_another_here
from session_store.tasks import KeptTasks
from session_store.upkeep import privacy
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.journal import ErasureJournal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from livekit.agents.voice import CloseEvent

    from session_store.livekit.job.conversation_parts import Parts

logger = logging.getLogger(__name__)

GOODBYE_S: Final = 10.0
"""How long an agent may go on speaking after an erasure."""
ERASE_TRIES: Final = 3
ERASE_AGAIN_S: Final = 1.0
OTHERS_SEEN_S: Final = 1.0
"""How long LiveKit may take to report the other agents in the room after a reconnect."""


class Ending:
    """Ends one conversation, once."""

    def __init__(self, parts: Parts, *, stop_joining: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch for the end.

        Args:
            parts: of the conversation.
            stop_joining: stops a late join, before the writers stop.
        """
        self._parts = parts
        self._stop_joining = stop_joining
        self._ctx = parts.setup.ctx
        self._store = parts.setup.store
        self._writers = parts.writers
        self._tasks = KeptTasks(logger)
        self.is_erasing = False
        """Whether this job is erasing its participant now."""
        self._is_gone = False
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.is_over = False
        """Whether this job writes and says nothing any more."""
        self.is_erased = False
        """Whether this job has erased its participant."""
        self._exit = parts.setup.job_exit
        self._exit.watch(parts.setup.agent_session, parts.entry.participant.identity)
        parts.setup.agent_session.on("close", self._on_close)
        self._ctx.room.on("reconnected", self._on_reconnected)
        self._ctx.add_shutdown_callback(self._on_shutdown)

    async def ended(self) -> None:
        """See ``Conversation.ended``."""
        await self._ended.wait()

    async def finish(self) -> None:
        """See ``Conversation.finish``."""
        await self._writers.flush()
        self.is_over = True
        try:
            await self._store.close(self._writers.lease.participant, self._parts.session_id)
        except SessionStoreError:
            self.is_over = False
            raise
        self._parts.log("finished")
        self._exit.leave("the conversation is finished")

    async def erase(self) -> None:
        """See ``Conversation.erase``."""
        self.is_erasing = True
        try:
            await self._try_to_erase()
        finally:
            self.is_erasing = False
        await self._note_erased()

    def lost(self, error: SessionStoreError) -> None:
        """Leave in silence: another agent has the conversation, or it was erased."""
        if self.is_over:
            return
        if isinstance(error, SessionGone) and self.is_erasing:
            # This job is erasing it; the answer of the store is still to come.
            self._tasks.spawn(self._note_erased())
            return
        self.is_over = True
        self._is_gone = isinstance(error, SessionGone)
        self._fall_away()
        extra = {"session_id": self._parts.session_id, "reason": type(error).__name__}
        logger.warning("this job has lost its conversation", extra=extra)
        self._exit.leave("this job has lost its conversation")
        self._tasks.spawn(fall_silent(self._parts.setup.agent_session))

    def make_way(self) -> None:
        """Leave to another job: the participant has gone, and a stranger came under its name."""
        self.is_over = True
        self._fall_away()
        self._tasks.spawn(fall_silent(self._parts.setup.agent_session))
        self._tasks.spawn(self._make_way())

    async def _make_way(self) -> None:
        lease = self._writers.lease
        if await self._writers.flush():
            with suppress(SessionStoreError):
                await self._store.close(lease.participant, lease.session_id)
        await send_another(self._ctx)
        self._exit.leave("another caller came under the same identity")

    async def _try_to_erase(self) -> None:
        for tries_left in reversed(range(ERASE_TRIES)):
            try:
                return await self._erase_once()
            except StoreUnavailable:
                if not tries_left:
                    raise
                await asyncio.sleep(ERASE_AGAIN_S)
        return None

    async def _erase_once(self) -> None:
        path = self._parts.setup.settings.erasure_journal
        await privacy.erase(
            self._store,
            self._parts.entry.participant.pseudonym,
            journal=ErasureJournal(path) if path else None,
            audit=AuditLog(self._store.side, self._store.keyring, actor="agent"),
            reason="asked for in the conversation",
        )

    async def _note_erased(self) -> None:
        if self.is_erased:
            return
        self.is_erased = self.is_over = True
        self._parts.tool_calls.stop()
        await self._writers.stop()
        self._parts.channel.erased()
        self._parts.log("erased")
        self._tasks.spawn(self._say_goodbye())

    async def _say_goodbye(self) -> None:
        """Let the agent finish its sentence; then end the job, which knows nothing any more."""
        await asyncio.sleep(GOODBYE_S)
        self._exit.leave("the participant was erased")

    def _on_close(self, event: CloseEvent) -> None:
        """End the job: without its agent session, perhaps after an error, it is a mute ghost."""
        self._exit.closed(event)
        self._begin_end()
        self._exit.leave("the agent session has closed")

    async def _on_shutdown(self) -> None:
        await asyncio.shield(self._begin_end())

    def _on_reconnected(self) -> None:
        self._tasks.spawn(self._yield_to_another())

    async def _yield_to_another(self) -> None:
        """After a time out of the room, leave the room to an agent that came meanwhile.

        If the store is reachable, it reports such an agent at the next renewal of the lease.
        """
        await asyncio.sleep(OTHERS_SEEN_S)
        if self.is_over or self._writers.has_lease:
            return
        if await is_another_here(self._ctx.room):
            lease = self._writers.lease
            self.lost(LeaseLost(lease.session_id, lease.fencing_token))

    def _fall_away(self) -> None:
        """Answer no pings any more, and listen to nothing."""
        self._ctx.room.off("reconnected", self._on_reconnected)
        self._parts.liveness.stop()
        self._parts.metrics.stop_listening()
        self._parts.tool_calls.stop()

    def _begin_end(self) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._end(), name="conversation-end")
            self._task.add_done_callback(self._note_end)
        return self._task

    def _note_end(self, _: asyncio.Task[None]) -> None:
        self._parts.metrics.over()
        self._ended.set()

    async def _write_end(self) -> bool:
        """Write how the conversation stands at the end of this job; return whether it is known.

        It is not if the program has ended the conversation and the store is unreachable.
        """
        by_program = self._exit.is_programs
        finishes = by_program and self._parts.setup.when_agent_ends == "finish"
        is_known = not finishes
        if await self._writers.flush():
            if finishes:
                is_known = await self._writers.finish()
            else:
                # A participant whom the program has left is as one who has left.
                has_left = by_program or self._exit.is_room_closed
                present = self._parts.presence.is_here and not has_left
                await self._writers.give_back(present=present)
        if by_program:
            # For the page, and for the watchers: the store may be unreachable.
            await mark_as_ended(self._ctx, self._parts.entry.participant.identity)
        return is_known

    async def _end(self) -> None:
        """Write what waits, and give the lease back.

        A participant who is still in the room does not count as having left.
        """
        self._fall_away()
        await self._parts.outages.aclose()
        self._parts.presence.stop()
        is_known = self.is_over or await self._write_end()
        await self._stop_joining()
        await self._writers.stop()
        if not (self.is_erased or self._is_gone):
            await self._writers.leave_unsaved(finished=not is_known)
        await self._parts.channel.aclose()
