"""``persist``: one call that makes a LiveKit agent's conversation survive."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm
from livekit.agents.voice.room_io import RoomOptions, TextInputOptions

from session_store.backends.base import JoinOutcome
from session_store.content_writer import ContentWriter
from session_store.errors import InvalidValue, LeaseHeld, SessionStoreError, StoreUnavailable
from session_store.lease import LeaseKeeper
from session_store.livekit.attendance import Attendance
from session_store.livekit.chat import chat_context, turn_of, unanswered
from session_store.livekit.greeting import Visit, words_of_welcome
from session_store.livekit.owner import JobMetadata, Owner, load_id_of
from session_store.livekit.record import RecordChannel
from session_store.livekit.sight import wait_for_participant
from session_store.livekit.typed_text import TypedText
from session_store.models import RecordedTurn
from session_store.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from livekit.agents import AgentSession, JobContext
    from livekit.agents.voice import CloseEvent, ConversationItemAddedEvent
    from livekit.agents.voice.events import FunctionToolsExecutedEvent

    from session_store.models import SessionContent
    from session_store.settings import StoreSettings
    from session_store.store import Joined, SealedTurn, SessionStore

logger = logging.getLogger(__name__)

WAIT_FOR_PARTICIPANT_S: Final = 60.0
FLUSH_S: Final = 5.0
RESENT_TURNS: Final = 20
"""Turns that are shown again to a page that was away for a moment and may have missed some."""
PREFERRED_NAME: Final = "name"
"""Key in ``context.preferences`` of what the participant likes to be called."""


class NobodyCame(SessionStoreError):
    """The job was dispatched, but its participant did not come."""


async def persist(  # noqa: PLR0913 (what has a default is seldom given)
    ctx: JobContext,
    agent_session: AgentSession[Any],
    store: SessionStore,
    settings: StoreSettings,
    *,
    room_options: RoomOptions | None = None,
    words: Callable[[Visit], str] = words_of_welcome,
) -> Conversation:
    """Take the conversation of the participant whom this job is for.

    Connects to the room, waits for the participant, takes the lease and loads the session in one
    round trip. Call it before ``agent_session.start``; then ``greet`` after it. The conversation
    ends with the job.

    Args:
        ctx: the job. Its metadata names the participant if our gateway dispatched it; else the
            first participant to come is meant, under the identity of its token.
        agent_session: not started yet.
        store: where sessions are kept.
        settings: the lease's renewal and the turns for the model are read from it.
        room_options: how to listen and speak in the room; whose text and voice are heard, and
            what happens when they leave, is decided here.
        words: what to say to somebody who comes.

    Raises:
        NobodyCame: within 60 s.
        LeaseHeld: another job has this conversation, and keeps it.
        SessionGone, SessionEnded: it was erased or has ended since the dispatch.
        StoreUnavailable, SealBroken, UnknownKey: the session cannot be read.
    """
    await ctx.connect()
    gateway = JobMetadata.parse(ctx.job.metadata)
    try:
        async with asyncio.timeout(WAIT_FOR_PARTICIPANT_S):
            participant = await wait_for_participant(ctx, gateway.participant if gateway else None)
    except TimeoutError:
        raise NobodyCame("the participant did not come to the room") from None
    owner = Owner(
        identity=participant.identity,
        participant=gateway.participant if gateway else store.pseudonym(participant.identity),
        session_id=gateway.session_id if gateway else None,
    )
    load_id = load_id_of(participant)
    joined = await _join(store, settings, owner, load_id)
    return Conversation(
        ctx=ctx,
        agent_session=agent_session,
        store=store,
        settings=settings,
        owner=owner,
        load_id=load_id,
        joined=joined,
        room_options=room_options or RoomOptions(),
        words=words,
    )


async def _join(store: SessionStore, settings: StoreSettings, owner: Owner, load_id: str) -> Joined:
    """Join; where a dead job's lease still runs, wait for its end once."""
    attempt = secrets.token_hex(16)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + 2 * settings.lease_s
    while True:
        try:
            return await store.join(
                owner.participant,
                session_id=owner.session_id,
                exact=owner.session_id is not None,
                load_id=load_id,
                attempt=attempt,
            )
        except LeaseHeld as held:
            if loop.time() > give_up:
                raise
            await asyncio.sleep(min(held.wait_ms / 1000 + 0.01, settings.lease_s))
        except StoreUnavailable:
            if loop.time() > give_up:
                raise
            await asyncio.sleep(settings.lease_renew_s)


class Conversation:
    """A participant's conversation, as long as this job holds its lease.

    ``persist`` makes it.
    """

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
        self._recorded = {recorded.turn.id: recorded for recorded in joined.turns}
        self._listeners: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over = False
        self._leaving = False

        self.chat_ctx: Final = chat_context(joined.turns, settings.model_turns)
        """What the model is given of the conversation so far."""

        self._channel = RecordChannel(ctx.room, owner.identity)
        self._recorder = Recorder(
            store, joined.lease, on_saved=self._on_saved, on_lost=self._on_lost
        )
        self._content = ContentWriter(store, joined.lease)
        self._keeper = LeaseKeeper(
            store, joined.lease.ref, every_s=settings.lease_renew_s, on_lost=self._on_lost
        )
        self._typed = TypedText(record=self._record_item, refuse=self._channel.refused)
        self._attendance = Attendance(
            ctx.room, owner.identity, on_came=self._came, on_left=self._left
        )
        self._keeper.start()
        agent_session.on("conversation_item_added", self._on_item_added)
        agent_session.on("function_tools_executed", self._on_tools_executed)
        agent_session.on("close", self._on_close)
        ctx.add_shutdown_callback(self._on_shutdown)
        self.change(lambda content: content.model_copy(update={"identity": owner.identity}))
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
        arrived = self._attendance.start()
        self._log("listening", present=arrived is not None)
        if arrived is None:
            self._spawn(self._left())
            return
        if load_id_of(arrived) != self._load_id:
            # The page was loaded again since the join.
            await self._came(load_id_of(arrived))
            return
        self._hello()
        if self._outcome is not JoinOutcome.TAKEN_OVER:
            await self._welcome()
        if unanswered(self._turns):
            self._agent_session.generate_reply()

    async def erase(self) -> None:
        """Erase everything about the participant, here and in the store, and end.

        Raises:
            StoreUnavailable: nothing was erased; try again.
        """
        self._over = True
        try:
            await self._store.erase(self._owner.participant, known=[self.session_id])
        except SessionStoreError:
            self._over = False
            raise
        await self._stop_writing()
        self._channel.erased()

    async def _came(self, load_id: str) -> None:
        """The participant came (again) while this job lives."""
        if self._over:
            return
        # First, so that a page need not wait for a store that is away.
        self._hello()
        for recorded in list(self._recorded.values())[-RESENT_TURNS:]:
            self._show(recorded)
        arrival = await self._retry(
            lambda attempt: self._store.arrive(self._lease, load_id=load_id, attempt=attempt)
        )
        self._visit = arrival.reconnect_count + 1
        self._log("the participant came", counted=arrival.counted, visit=self._visit)
        self._tell_listeners()
        if arrival.counted:
            await self._agent_session.interrupt()
            await self._welcome()

    async def _left(self) -> None:
        if not self._over:
            resume_until = await self._retry(lambda _: self._store.leave(self._lease))
            self._log("the participant left", resume_until=resume_until.isoformat())

    async def _retry(self, call: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
        """Repeat a call while the store is away; the attempt's name keeps it from counting twice.

        Args:
            call: takes the attempt's name.
        """
        attempt = secrets.token_hex(8)
        while True:
            try:
                return await call(attempt)
            except StoreUnavailable:
                await asyncio.sleep(1)

    def _hello(self) -> None:
        self._channel.hello(
            session_id=self.session_id,
            language=self.content.language,
            last_seq=self._lease.last_seq,
        )

    async def _welcome(self) -> None:
        name = self.content.context.preferences.get(PREFERRED_NAME)
        visit = Visit(self._visit, self.content.language, name if isinstance(name, str) else None)
        await self._until_the_user_is_silent()
        self._agent_session.say(self._words(visit))

    async def _until_the_user_is_silent(self, at_most_s: float = 5.0) -> None:
        """Wait while the user speaks: a greeting must not talk over anybody."""
        silent = asyncio.Event()

        def note(_: object) -> None:
            if self._agent_session.user_state != "speaking":
                silent.set()

        note(None)
        self._agent_session.on("user_state_changed", note)
        try:
            async with asyncio.timeout(at_most_s):
                await silent.wait()
        except TimeoutError:
            pass
        finally:
            self._agent_session.off("user_state_changed", note)

    def _on_item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage | llm.AgentHandoff):
            return
        if item.id not in self._recorded:  # Typed messages were recorded as they came.
            self._record_item(item)
        if isinstance(item, llm.ChatMessage):
            self._note_context(item)

    def _on_tools_executed(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self._record_item(call)
            self._record_item(output)

    def _record_item(self, item: llm.ChatItem) -> bool:
        """Record an item; answer whether it was a new one. What was there is shown again."""
        if self._over:
            return False
        if before := self._recorded.get(item.id):
            self._show(before)
            return False
        turn = turn_of(item)
        if turn is None:
            return False
        try:
            sealed = self._recorder.record(turn)
        except InvalidValue as error:
            logger.warning("a turn cannot be kept", extra={"error": str(error)})
            return False
        self._recorded[item.id] = RecordedTurn(sealed.seq, turn)
        self._show(self._recorded[item.id])
        return True

    def _show(self, recorded: RecordedTurn) -> None:
        self._channel.turn(recorded, saved=recorded.seq <= self._lease.saved_seq)

    def _note_context(self, message: llm.ChatMessage) -> None:
        field = {"user": "last_query", "assistant": "last_response"}.get(message.role)
        text = message.text_content
        if field is None or not text:
            return

        def note(content: SessionContent) -> SessionContent:
            context = content.context.model_copy(update={field: text})
            return content.model_copy(update={"context": context})

        self.change(note)

    def _on_saved(self, turns: Sequence[SealedTurn]) -> None:
        self._channel.saved(turns)

    def _on_lost(self, error: SessionStoreError) -> None:
        """Somebody else has the conversation, or it was erased: leave without a word."""
        if self._over:
            return
        self._over = True
        logger.warning(
            "the conversation is not ours any more",
            extra={"session_id": self.session_id, "reason": type(error).__name__},
        )
        self._spawn(self._leave_silently())

    async def _leave_silently(self) -> None:
        await self._agent_session.interrupt(force=True)
        self._ctx.shutdown("the conversation is not ours any more")

    def _on_close(self, _: CloseEvent) -> None:
        self._spawn(self._end())

    async def _on_shutdown(self) -> None:
        await self._end()

    async def _end(self) -> None:
        """Write what waits, and give the lease back. Who is still in the room has not left."""
        if self._leaving:
            return
        self._leaving = True
        self._attendance.stop()
        if not self._over:
            written = await self._recorder.flush(FLUSH_S) and await self._content.flush(FLUSH_S)
            if written:
                try:
                    if not self._attendance.present:
                        await self._store.leave(self._lease)
                    await self._store.release(self._lease)
                except SessionStoreError as error:
                    logger.warning("the lease runs out by itself", extra={"error": str(error)})
            else:
                logger.error(
                    "turns are lost: the store was away until the job's end",
                    extra={"session_id": self.session_id, "turns": self._recorder.waiting},
                )
        await self._stop_writing()
        await self._channel.aclose()

    async def _stop_writing(self) -> None:
        await self._keeper.stop()
        await self._recorder.aclose()
        await self._content.aclose()

    def _log(self, what: str, **fields: object) -> None:
        """Log what happens to the conversation: ids and numbers, never what was said."""
        logger.info(what, extra={"session_id": self.session_id, **fields})

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run work in a task that is kept, and whose failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, SessionStoreError):
                logger.warning("the store refused", extra={"error": str(error)})
            else:
                logger.error("a task of the conversation failed", exc_info=error)
