"""``Conversation``: a participant's conversation, as long as a job holds its lease."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from livekit.agents import llm
from livekit.agents.voice.room_io import RoomOptions, TextInputOptions

from session_store.backends.values import JoinOutcome
from session_store.errors import (
    LeaseLost,
    RecorderFull,
    SessionGone,
    SessionStoreError,
    StoreUnavailable,
)
from session_store.livekit.job.chat_items import active_agent, chat_context, unanswered
from session_store.livekit.job.greeting import Visit, answer, speak
from session_store.livekit.job.late_join import join_when_back
from session_store.livekit.job.lease_writers import Keeping
from session_store.livekit.job.other_agents import is_another_here
from session_store.livekit.job.page_channel import RecordChannel
from session_store.livekit.job.participant import load_id_of
from session_store.livekit.job.presence import Attendance
from session_store.livekit.job.resume_agent import resume
from session_store.livekit.job.tool_calls import ToolCalls
from session_store.livekit.job.typed_text import TypedText
from session_store.livekit.job.workarounds import keep_voice
from session_store.livekit.providers.outages import ProviderOutages
from session_store.livekit.telemetry.conversation_metrics import MeasuredConversation
from session_store.livekit.telemetry.joins import JOINED_AS, failed_as
from session_store.tasks import KeptTasks, happens_within, stop
from session_store.upkeep import privacy
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.journal import ErasureJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from livekit.agents import Agent, AgentSession, JobContext, stt, tts
    from livekit.agents.voice import CloseEvent, ConversationItemAddedEvent

    from session_store.livekit.job.liveness import Liveness
    from session_store.livekit.job.participant import Owner
    from session_store.models import Place, RecordedTurn, SessionContent
    from session_store.settings import StoreSettings
    from session_store.store import SessionStore
    from session_store.values import Arrival, Joined
    from session_store.writing.offline_start import OfflineStart

    SomeAgent = TypeVar("SomeAgent", bound=Agent)

logger = logging.getLogger(__name__)

GOODBYE_S: Final = 10.0
"""How long an agent may go on speaking after an erasure."""
ERASE_TRIES: Final = 3
RESENT_TURNS: Final = 20
"""Turns that are shown again to a page that was away for a moment and may have missed some."""
OTHERS_SEEN_S: Final = 1.0
"""After a reconnect LiveKit tells who else is in the room; of agents, who publish, at once."""
WELCOME_WITHIN_S: Final = 10.0
"""Somebody whose arrival could only be counted later has been talking for long."""
MAX_CONTEXT_CHARS: Final = 500
"""How much of the last words is kept in the context."""
PREFERRED_NAME: Final = "name"
"""Key in ``context.preferences`` of what the participant likes to be called."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """How a job came to its conversation."""

    owner: Owner
    load_id: str
    """Of the participant's arrival that the join was for."""
    lease_owner: str
    """The nonce that it joined with, or will."""
    joined: Joined
    waited_from: float
    """When its participant was there, by the loop's clock."""
    beginning: OfflineStart | None = None
    """Where the store is away and nothing was joined yet."""
    place: Place | None = None
    """Where a successor is to be sent, where our gateway would not know."""


class Conversation:
    """Records, shows, greets and ends. ``persist`` makes it."""

    def __init__(  # noqa: PLR0913 (made in one place only)
        self,
        *,
        ctx: JobContext,
        agent_session: AgentSession[Any],
        store: SessionStore,
        settings: StoreSettings,
        entry: Entry,
        liveness: Liveness,
        room_options: RoomOptions,
        words: Callable[[Visit], str] | None,
        spare_voice: tts.TTS[Any] | None = None,
    ) -> None:
        joined = entry.joined
        self._ctx = ctx
        self._agent_session = agent_session
        self._store = store
        self._settings = settings
        self._entry = entry
        self._liveness = liveness
        self._words = words
        self._visit = joined.session.visit
        self._listeners: list[Callable[[], None]] = []
        self._tasks = KeptTasks(logger)
        self._greeted = False
        self._came_at = asyncio.get_running_loop().time()
        self._erasing = False
        self._erased = False
        self._gone = False
        self._over = False
        self._ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._audit = AuditLog(store.side, store.keyring, actor="agent")
        self._journal = (
            ErasureJournal(settings.erasure_journal) if settings.erasure_journal else None
        )

        owner = entry.owner
        self._channel = RecordChannel(ctx.room, owner.identity)
        self._keeping = Keeping(
            store,
            settings,
            joined,
            entry.beginning,
            self._channel,
            on_lost=self._on_lost,
            on_arrived=self._on_arrived,
        )
        # With what the job before was saying when it died.
        self._turns = self._keeping.transcript.turns
        self.chat_ctx: Final = chat_context(self._turns, settings.model_turns)
        """What the model is given of the conversation so far."""
        self._room_options = self._keeping.drafts.overhear(agent_session, room_options)
        self._tool_calls = ToolCalls(agent_session, self._keeping.transcript)
        self._typed = TypedText(
            known=self._was_typed, record=self._record_typed, refuse=self._channel.refused
        )
        self._attendance = Attendance(
            ctx.room, owner.identity, on_came=self._on_came, on_left=self._keeping.visits.left
        )
        self._outages = ProviderOutages(
            agent_session,
            show=lambda words: self._channel.notice(words, self.content.language),
            language=lambda: self.content.language,
            is_present=lambda: not self._over and self._attendance.present,
            meter=store.meter,
            spare_voice=spare_voice,
        )
        agent_session.on("conversation_item_added", self._on_item_added)
        agent_session.on("close", self._on_close)
        ctx.room.on("reconnected", self._on_reconnected)
        ctx.add_shutdown_callback(self._on_shutdown)
        known: dict[str, Any] = {"identity": owner.identity}
        if owner.metadata:
            known["metadata"] = owner.metadata
        if entry.place is not None:
            known["place"] = entry.place
        self.change(lambda content: content.model_copy(update=known))
        self._name_in_logs()
        self._measured = MeasuredConversation.begin(store.meter, entry, ctx.room)
        self._joining: asyncio.Task[None] | None = None
        if entry.beginning is None:
            self._log("joined", outcome=joined.outcome.value, visit=self._visit)
        else:
            self._joining = self._tasks.spawn(self._join_late(entry.beginning))
            self._log("begun without the store")

    @property
    def start_args(self) -> dict[str, Any]:
        """Keyword arguments for ``agent_session.start``: the room, and how to listen in it."""
        return {
            "room": self._ctx.room,
            "room_options": dataclasses.replace(
                self._room_options,
                # Without it, RoomIO links to whoever came first.
                participant_identity=self._entry.owner.identity,
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
        return self._keeping.content.content

    @property
    def session_id(self) -> str:
        """The session that this conversation is kept in."""
        return self._keeping.lease.session_id

    @property
    def visit(self) -> int:
        """How many times the participant came, this time included."""
        return self._visit

    @property
    def is_new(self) -> bool:
        """Whether nothing was said in this conversation before this job, as far as is known."""
        return not self._turns

    @property
    def active_agent(self) -> str | None:
        """Id of the agent that was handed to last; ``None`` where there was no handoff."""
        return active_agent(self._turns)

    async def resume(self, agent: SomeAgent) -> SomeAgent:
        """Give an agent the conversation so far, before ``agent_session.start``; return it.

        Instead of ``chat_ctx``, for a class that cannot be given one. Where the conversation is
        not new, what its ``on_enter`` says is not said: whoever comes back was greeted.
        """
        quiet = not self.is_new
        await resume(self._agent_session, agent, self.chat_ctx, quiet=quiet)
        return agent

    def change(self, change: Callable[[SessionContent], SessionContent]) -> None:
        """Change the content, now; it is written soon after, also when the store is away."""
        before = self.content
        self._keeping.content.change(change)
        if self.content != before:
            self._tell_listeners()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``content`` or ``visit`` have changed."""
        self._listeners.append(listener)

    def watch(self, *models: stt.STT[Any] | tts.TTS[Any]) -> None:
        """Tell the participant, too, when these fail: models that stand before a fallback.

        An agent session does not hear of their failures. Of its own models' it does.
        """
        self._outages.watch(*models)

    async def greet(self) -> None:
        """Begin: look who is there, and greet them. Call it once, after ``agent_session.start``.

        Who comes for the first time is greeted, and who comes back is welcomed. Nobody is after
        a takeover; but what was said last and not answered, is answered.
        """
        if self._over:
            return
        keep_voice(self._agent_session)
        arrived = self._attendance.start()
        self._log("listening", present=arrived is not None)
        self._measured.listening()
        if arrived is None:
            self._keeping.visits.left()
        elif load_id_of(arrived) != self._entry.load_id:
            # The page was loaded again since the join.
            self._on_came(load_id_of(arrived))
        else:
            self._hello()
            if self._is_takeover:
                # The dead job may have recorded turns that it could not show any more.
                self._keeping.transcript.show_newest(RESENT_TURNS)
            await self._welcome(is_return=not self._is_takeover)

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
                        self._entry.owner.participant,
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

    async def finish(self) -> None:
        """End the conversation for good, and the job: no other agent comes for it.

        The participant's next visit begins a new one. Without this, a job that ends while its
        participant is in the room is taken for one that was lost.

        Raises:
            StoreUnavailable: it has not ended, and goes on; try again.
        """
        keeping = self._keeping
        await keeping.flush()
        self._over = True
        try:
            await self._store.close(keeping.lease.participant, self.session_id)
        except SessionStoreError:
            self._over = False
            raise
        self._log("finished")
        self._ctx.shutdown("the conversation is finished")

    async def ended(self) -> None:
        """Wait until the conversation is over, and all that can be written is written."""
        await self._ended.wait()

    async def _note_erased(self) -> None:
        if self._erased:
            return
        self._erased = self._over = True
        self._tool_calls.stop()
        await self._keeping.stop()
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
        self._came_at = asyncio.get_running_loop().time()
        self._hello()
        self._keeping.transcript.show_newest(RESENT_TURNS)
        self._keeping.visits.came(load_id)

    def _on_arrived(self, arrival: Arrival) -> None:
        self._visit = arrival.reconnect_count + 1
        self._tell_listeners()
        waited_s = asyncio.get_running_loop().time() - self._came_at
        if (arrival.counted or not self._greeted) and waited_s < WELCOME_WITHIN_S:
            self._tasks.spawn(self._welcome(is_return=arrival.counted))

    def _hello(self) -> None:
        lease = self._keeping.lease
        self._channel.hello(
            session_id=self.session_id,
            language=self.content.language,
            last_seq=lease.last_seq,
            saved=lease.granted,
            back=self._is_takeover,
        )
        self._outages.show_again()

    @property
    def _is_takeover(self) -> bool:
        """Whether the job before died, or left, while the participant was there."""
        return self._entry.joined.outcome is JoinOutcome.TAKEN_OVER

    async def _join_late(self, beginning: OfflineStart) -> None:
        """Join once the store is back, and go on with all that it knows."""
        entry = self._entry
        try:
            joined = await join_when_back(
                self._store,
                beginning,
                load_id=entry.load_id,
                owner=entry.lease_owner,
                lease_s=self._settings.lease_s,
            )
        except SessionStoreError as error:
            self._store.meter.joined(failed_as(error))
            self._on_lost(error)
            return
        self._store.meter.joined(JOINED_AS[joined.outcome])
        before = self._keeping.adopt(joined)
        self._name_in_logs()
        self._visit = joined.session.visit
        self._log("joined late", outcome=joined.outcome.value, visit=self._visit)
        self._hello()
        self._keeping.transcript.show_newest(RESENT_TURNS)
        self._tell_listeners()
        await self._recall(before)

    async def _recall(self, before: Sequence[RecordedTurn]) -> None:
        """Give the model what was said before this job, in front of what was said since."""
        try:
            agent = self._agent_session.current_agent
            context = agent.chat_ctx.copy()
            known = {item.id for item in context.items}
            earlier = chat_context(before, self._settings.model_turns).items
            context.insert([item for item in earlier if item.id not in known])
            await agent.update_chat_ctx(context)
        except Exception as error:  # noqa: BLE001 (a model that cannot be told goes on as it is)
            logger.warning("the model knows nothing older", extra={"error": type(error).__name__})

    async def _welcome(self, *, is_return: bool) -> None:
        """Greet somebody new, welcome a return, and answer what nobody has answered yet."""
        first, self._greeted = not self._greeted, True
        is_new = first and self.is_new
        with contextlib.suppress(RuntimeError):  # It is not running yet, or no more.
            if self._words is not None:
                await self._agent_session.interrupt(force=True)
        # Before the greeting is in it: the question is the last word here.
        context = self._agent_session.current_agent.chat_ctx.copy()
        if self._words is not None and (is_new or is_return):
            await self._until_the_user_is_silent()
            name = self.content.context.preferences.get(PREFERRED_NAME)
            visit = Visit(
                number=1 if is_new else self._visit,
                language=self.content.language,
                name=name if isinstance(name, str) else None,
                known=self._keeping.lease.granted,
            )
            if words := self._words(visit):
                speak(self._agent_session, words)
        if first and unanswered(self._turns):
            answer(self._agent_session, context)

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
        if self._over:
            return
        if self._keeping.transcript.record_if_new(item) and isinstance(item, llm.ChatMessage):
            self._note_context(item)

    def _was_typed(self, message_id: str) -> bool:
        """Tell whether a typed message was taken before; its record is then shown again."""
        if self._over or not self._keeping.transcript.knows(message_id):
            return False
        self._keeping.transcript.show_again(message_id)
        return True

    def _record_typed(self, message: llm.ChatMessage) -> bool:
        if self._over:
            return False
        with contextlib.suppress(RecorderFull):  # It is answered all the same.
            self._keeping.transcript.record_typed(message)
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
        self._fall_away()
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

    def _on_reconnected(self) -> None:
        self._tasks.spawn(self._yield_to_another())

    async def _yield_to_another(self) -> None:
        """After a time out of the room, leave it to whoever came meanwhile.

        Where the store is reached, it says so at the next renewal.
        """
        await asyncio.sleep(OTHERS_SEEN_S)
        if not self._over and not self._keeping.has_lease and await is_another_here(self._ctx.room):
            lease = self._keeping.lease
            self._on_lost(LeaseLost(lease.session_id, lease.fencing_token))

    def _fall_away(self) -> None:
        """Look dead to whoever looks from outside, and listen to nothing more."""
        self._ctx.room.off("reconnected", self._on_reconnected)
        self._liveness.stop()
        self._measured.stop_listening()
        self._tool_calls.stop()

    def _begin_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="conversation-end")
            self._ending.add_done_callback(self._note_end)
        return self._ending

    def _note_end(self, _: asyncio.Task[None]) -> None:
        self._measured.over()
        self._ended.set()

    async def _end(self) -> None:
        """Write what waits, and give the lease back. Who is still in the room has not left."""
        self._fall_away()
        await self._outages.aclose()
        self._attendance.stop()
        if not self._over and await self._keeping.flush():
            await self._keeping.give_back(present=self._attendance.present)
        await stop(self._joining)
        await self._keeping.stop()
        if not (self._erased or self._gone):
            await self._keeping.leave_unsaved()
        await self._channel.aclose()

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()

    def _name_in_logs(self) -> None:
        """Put the session's id on every line of this job, LiveKit's own too."""
        self._ctx.log_context_fields["session_id"] = self.session_id

    def _log(self, what: str, **fields: object) -> None:
        """Log what happens to the conversation: ids and numbers, never what was said."""
        logger.info(what, extra={"session_id": self.session_id, **fields})
