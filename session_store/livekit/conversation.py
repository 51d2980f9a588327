"""``Conversation``: a participant's conversation, as long as a job holds its lease."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from livekit.agents.voice.room_io import RoomOptions, TextInputOptions

from session_store import privacy
from session_store.audit import AuditLog
from session_store.backends.base import JoinOutcome
from session_store.content_writer import ContentWriter
from session_store.errors import (
    RecorderFull,
    SessionGone,
    SessionStoreError,
    StoreUnavailable,
)
from session_store.journal import ErasureJournal
from session_store.lease import LeaseKeeper
from session_store.livekit.attendance import Attendance
from session_store.livekit.chat import chat_context, unanswered
from session_store.livekit.greeting import Visit
from session_store.livekit.owner import load_id_of
from session_store.livekit.record import RecordChannel
from session_store.livekit.transcript import Transcript
from session_store.livekit.typed_text import TypedText
from session_store.livekit.visits import Visits
from session_store.recorder import Recorder
from session_store.spool import Spool
from session_store.tasks import KeptTasks, happens_within, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession, JobContext
    from livekit.agents.voice import CloseEvent, ConversationItemAddedEvent
    from livekit.agents.voice.events import FunctionToolsExecutedEvent

    from session_store.livekit.owner import Owner
    from session_store.models import SessionContent
    from session_store.settings import StoreSettings
    from session_store.store import Arrival, Joined, SessionStore

logger = logging.getLogger(__name__)

FLUSH_S: Final = 3.0
"""How long the end of a job waits for the store; supervisors allow about 5 s."""
GOODBYE_S: Final = 10.0
"""How long an agent may go on speaking after an erasure."""
ERASE_TRIES: Final = 3
RESENT_TURNS: Final = 20
"""Turns that are shown again to a page that was away for a moment and may have missed some."""
MAX_CONTEXT_CHARS: Final = 500
"""How much of the last words is kept in the context."""
PREFERRED_NAME: Final = "name"
"""Key in ``context.preferences`` of what the participant likes to be called."""


class Conversation:
    """Records, shows, greets and ends. ``persist`` makes it."""

    def __init__(  # noqa: PLR0913 (made in one place only)
        self,
        *,
        ctx: JobContext,
        agent_session: AgentSession[Any],
        store: SessionStore,
        settings: StoreSettings,
        owner: Owner,
        load_id: str,
        joined: Joined,
        room_options: RoomOptions,
        words: Callable[[Visit], str],
    ) -> None:
        self._ctx = ctx
        self._agent_session = agent_session
        self._store = store
        self._lease = joined.lease
        self._owner = owner
        self._load_id = load_id
        self._room_options = room_options
        self._words = words
        self._outcome = joined.outcome
        self._turns = joined.turns
        self._visit = joined.session.visit
        self._listeners: list[Callable[[], None]] = []
        self._tasks = KeptTasks(logger)
        self._greeted = False
        self._erasing = False
        self._erased = False
        self._gone = False
        self._over = False
        self._ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._audit = AuditLog(store, actor="agent")
        self._journal = (
            ErasureJournal(settings.erasure_journal) if settings.erasure_journal else None
        )

        self.chat_ctx: Final = chat_context(self._turns, settings.model_turns)
        """What the model is given of the conversation so far."""

        lease = joined.lease
        self._channel = RecordChannel(ctx.room, owner.identity)
        self._recorder = Recorder(
            store,
            lease,
            on_saved=self._channel.saved,
            on_lost=self._on_lost,
            max_bytes=settings.recorder_max_bytes,
        )
        self._spool = None if settings.spool_dir is None else Spool(settings.spool_dir)
        self._transcript = Transcript(self._recorder, self._channel, lease, self._turns)
        self._content = ContentWriter(store, lease, self._recorder)
        self._keeper = LeaseKeeper(
            store, lease.ref, every_s=settings.lease_renew_s, on_lost=self._on_lost
        )
        self._visits = Visits(store, lease, on_arrived=self._on_arrived)
        self._typed = TypedText(
            known=self._was_typed, record=self._record_typed, refuse=self._channel.refused
        )
        self._attendance = Attendance(
            ctx.room, owner.identity, on_came=self._on_came, on_left=self._visits.left
        )
        self._keeper.start()
        agent_session.on("conversation_item_added", self._on_item_added)
        agent_session.on("function_tools_executed", self._on_tools_executed)
        agent_session.on("close", self._on_close)
        ctx.add_shutdown_callback(self._on_shutdown)
        known: dict[str, Any] = {"identity": owner.identity}
        if owner.metadata:
            known["metadata"] = owner.metadata
        self.change(lambda content: content.model_copy(update=known))
        self._log("joined", outcome=joined.outcome.value, visit=self._visit)

    @property
    def start_args(self) -> dict[str, Any]:
        """Keyword arguments for ``agent_session.start``: the room, and how to listen in it."""
        return {
            "room": self._ctx.room,
            "room_options": dataclasses.replace(
                self._room_options,
                # Without it, RoomIO links to whoever came first.
                participant_identity=self._owner.identity,
                # With it, a reload would leave a mute agent behind.
                close_on_disconnect=False,
                text_input=TextInputOptions(text_input_cb=self._typed.receive),
            ),
            # Hosting would let anybody in the room read the history and drive the agent.
            "session_host": False,
        }

    @property
    def content(self) -> SessionContent:
        """What is kept besides the turns: language, context, metadata."""
        return self._content.content

    @property
    def session_id(self) -> str:
        """The session that this conversation is kept in."""
        return self._lease.session_id

    @property
    def visit(self) -> int:
        """How many times the participant came, this time included."""
        return self._visit

    def change(self, change: Callable[[SessionContent], SessionContent]) -> None:
        """Change the content, now; it is written soon after, also when the store is away."""
        before = self.content
        self._content.change(change)
        if self.content != before:
            self._tell_listeners()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``content`` or ``visit`` have changed."""
        self._listeners.append(listener)

    async def greet(self) -> None:
        """Begin: look who is there, and greet them. Call it once, after ``agent_session.start``.

        Who comes for the first time is greeted, and who comes back is welcomed. Nobody is after
        a takeover; but what was said last and not answered, is answered.
        """
        if self._over:
            return
        arrived = self._attendance.start()
        self._log("listening", present=arrived is not None)
        if arrived is None:
            self._visits.left()
        elif load_id_of(arrived) != self._load_id:
            # The page was loaded again since the join.
            self._on_came(load_id_of(arrived))
        else:
            self._hello()
            await self._welcome(is_return=self._outcome is not JoinOutcome.TAKEN_OVER)

    async def erase(self) -> None:
        """Erase everything about the participant, here and in the store, and end soon after.

        Raises:
            StoreUnavailable: after three tries; whether it was erased is unknown. Try again.
            JournalFailed: the erasure could not be noted outside of Redis, so nothing was erased.
        """
        self._erasing = True
        try:
            for left in reversed(range(ERASE_TRIES)):
                try:
                    await privacy.erase(
                        self._store,
                        self._owner.participant,
                        journal=self._journal,
                        audit=self._audit,
                        reason="asked for in the conversation",
                    )
                    break
                except StoreUnavailable:
                    if not left:
                        raise
                    await asyncio.sleep(1)
        finally:
            self._erasing = False
        await self._note_erased()

    async def ended(self) -> None:
        """Wait until the conversation is over, and all that can be written is written."""
        await self._ended.wait()

    async def _note_erased(self) -> None:
        if self._erased:
            return
        self._erased = self._over = True
        await self._stop_writing()
        self._channel.erased()
        self._log("erased")
        self._tasks.spawn(self._say_goodbye())

    async def _say_goodbye(self) -> None:
        """Let the agent finish its sentence; then it knows nothing any more."""
        await asyncio.sleep(GOODBYE_S)
        self._ctx.shutdown("the participant was erased")

    def _on_came(self, load_id: str) -> None:
        """The participant came (again) while this job lives."""
        if self._erased:
            self._channel.erased()  # The page may have missed it.
        if self._over:
            return
        # At once: a page need not wait for a store that is away.
        self._hello()
        self._transcript.show_newest(RESENT_TURNS)
        self._visits.came(load_id)

    def _on_arrived(self, arrival: Arrival) -> None:
        self._visit = arrival.reconnect_count + 1
        self._tell_listeners()
        if arrival.counted or not self._greeted:
            self._tasks.spawn(self._welcome(is_return=arrival.counted))

    def _hello(self) -> None:
        self._channel.hello(
            session_id=self.session_id,
            language=self.content.language,
            last_seq=self._lease.last_seq,
        )

    async def _welcome(self, *, is_return: bool) -> None:
        """Greet somebody new, welcome a return, and answer what nobody has answered yet."""
        first, self._greeted = not self._greeted, True
        is_new = first and not self._turns
        with contextlib.suppress(RuntimeError):  # It is not running yet, or no more.
            await self._agent_session.interrupt(force=True)
        # Before the greeting is in it: the question is the last word here.
        context = self._agent_session.current_agent.chat_ctx.copy()
        if is_new or is_return:
            await self._until_the_user_is_silent()
            name = self.content.context.preferences.get(PREFERRED_NAME)
            visit = Visit(
                number=1 if is_new else self._visit,
                language=self.content.language,
                name=name if isinstance(name, str) else None,
            )
            self._agent_session.say(self._words(visit))
        if first and unanswered(self._turns):
            self._agent_session.generate_reply(chat_ctx=context)

    async def _until_the_user_is_silent(self, at_most_s: float = 5.0) -> None:
        """Wait while the user speaks: a greeting must not talk over anybody."""
        silent = asyncio.Event()

        def note(_: object) -> None:
            if self._agent_session.user_state != "speaking":
                silent.set()

        note(None)
        self._agent_session.on("user_state_changed", note)
        try:
            await happens_within(silent, at_most_s)
        finally:
            self._agent_session.off("user_state_changed", note)

    def _on_item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if self._over or not isinstance(item, llm.ChatMessage | llm.AgentHandoff):
            return
        if self._transcript.record_if_new(item) and isinstance(item, llm.ChatMessage):
            self._note_context(item)

    def _on_tools_executed(self, event: FunctionToolsExecutedEvent) -> None:
        if self._over:
            return
        for call, output in event.zipped():
            self._transcript.record_if_new(call)
            self._transcript.record_if_new(output)

    def _was_typed(self, message_id: str) -> bool:
        """Tell whether a typed message was taken before; its record is then shown again."""
        if self._over or not self._transcript.knows(message_id):
            return False
        self._transcript.show_again(message_id)
        return True

    def _record_typed(self, message: llm.ChatMessage) -> bool:
        if self._over:
            return False
        with contextlib.suppress(RecorderFull):  # It is answered all the same.
            self._transcript.record(message)
            self._note_context(message)
        return True

    def _note_context(self, message: llm.ChatMessage) -> None:
        field = {"user": "last_query", "assistant": "last_response"}.get(message.role)
        text = message.text_content
        if field is None or not text:
            return

        def note(content: SessionContent) -> SessionContent:
            context = content.context.model_copy(update={field: text[:MAX_CONTEXT_CHARS]})
            return content.model_copy(update={"context": context})

        self.change(note)

    def _on_lost(self, error: SessionStoreError) -> None:
        """Somebody else has the conversation, or it was erased: leave without a word."""
        if self._over:
            return
        if isinstance(error, SessionGone) and self._erasing:
            self._tasks.spawn(
                self._note_erased()
            )  # Our own erasure, whose answer is still to come.
            return
        self._over = True
        self._gone = isinstance(error, SessionGone)
        logger.warning(
            "the conversation is not ours any more",
            extra={"session_id": self.session_id, "reason": type(error).__name__},
        )
        self._ctx.shutdown("the conversation is not ours any more")
        self._tasks.spawn(self._fall_silent())

    async def _fall_silent(self) -> None:
        with contextlib.suppress(RuntimeError):  # It is not running yet, or no more.
            await self._agent_session.interrupt(force=True)

    def _on_close(self, _: CloseEvent) -> None:
        """The agent session has closed, perhaps by an error: a job without it is a mute ghost."""
        self._begin_end()
        self._ctx.shutdown("the agent session has closed")

    async def _on_shutdown(self) -> None:
        await asyncio.shield(self._begin_end())

    def _begin_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="conversation-end")
            self._ending.add_done_callback(lambda _: self._ended.set())
        return self._ending

    async def _end(self) -> None:
        """Write what waits, and give the lease back. Who is still in the room has not left."""
        self._attendance.stop()
        if not self._over:
            await self._visits.aclose()
            if await self._recorder.flush(FLUSH_S) and await self._content.flush(FLUSH_S):
                await self._give_back()
        await self._stop_writing()
        if not (self._erased or self._gone):
            await self._leave_unsaved()
        await self._channel.aclose()

    async def _leave_unsaved(self) -> None:
        """See to what the store did not take under this lease: somebody else will bring it in."""
        turns, content = self._recorder.unsaved(), self._content.unsaved()
        if not turns and content is None:
            return
        extra = {"session_id": self.session_id, "turns": len(turns)}
        try:
            if self._spool is not None:
                self._spool.write(self._lease.ref, turns, content)
                logger.warning("unsaved turns are left in the spool", extra=extra)
                return
            # It may be there: after a lost lease, turns come in late.
            async with asyncio.timeout(FLUSH_S):
                await self._store.replay(self._lease.ref, turns)
        except (SessionStoreError, TimeoutError, OSError) as error:
            reason = reason_of(error)
            logger.error("turns are lost; see REJOIN_SPOOL_DIR", extra={**extra, "reason": reason})  # noqa: TRY400 (the trace tells nothing more)
            return
        if content is not None:
            logger.error("a change of the content is lost; see REJOIN_SPOOL_DIR", extra=extra)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                if not self._attendance.present:
                    await self._store.leave(self._lease)
                await self._store.release(self._lease)
        except (SessionStoreError, TimeoutError) as error:
            logger.warning("the lease runs out by itself", extra={"error": str(error)})

    async def _stop_writing(self) -> None:
        await self._keeper.aclose()
        await self._recorder.aclose()
        await self._content.aclose()
        await self._visits.aclose()

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()

    def _log(self, what: str, **fields: object) -> None:
        """Log what happens to the conversation: ids and numbers, never what was said."""
        logger.info(what, extra={"session_id": self.session_id, **fields})
