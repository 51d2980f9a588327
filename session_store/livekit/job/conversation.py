"""``Conversation``: a participant's conversation, as long as a job holds its lease."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from livekit.agents import llm
from livekit.agents.voice.room_io import TextInputOptions

from session_store.errors import RecorderFull, SessionGone
from session_store.livekit.job.active_agent import goes_on
from session_store.livekit.job.arrivals import Arrivals
from session_store.livekit.job.chat_items import active_agent
from session_store.livekit.job.conversation_parts import Hooks, Parts
from session_store.livekit.job.emptied_store import EmptiedStore
from session_store.livekit.job.ending import Ending
from session_store.livekit.job.first_enter import FirstEnter
from session_store.livekit.job.late_join import LateJoin
from session_store.livekit.job.model_context import chat_context
from session_store.livekit.job.owed_answer import is_unbegun
from session_store.livekit.job.resume_agent import restore_calls
from session_store.livekit.job.typed_text import TypedText
from session_store.livekit.job.versions import extend_context, start_args_for
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from livekit.agents import Agent, stt, tts
    from livekit.agents.voice import ConversationItemAddedEvent

    from session_store.errors import SessionStoreError
    from session_store.livekit.job.conversation_setup import Setup
    from session_store.livekit.job.entry import Entry, EntryKind
    from session_store.livekit.job.liveness import Liveness
    from session_store.livekit.job.participant import Coming
    from session_store.livekit.job.state_shape import StateError
    from session_store.models import SessionContent
    from session_store.values import Arrival, Joined

    SomeAgent = TypeVar("SomeAgent", bound=Agent)

logger = logging.getLogger(__name__)

MAX_CONTEXT_CHARS: Final = 500
"""How much of the last words is kept in the context."""


class Conversation:
    """Records, shows, greets and ends. ``persist`` makes it."""

    def __init__(self, setup: Setup, entry: Entry, liveness: Liveness) -> None:
        self._setup = setup
        self._entry = entry
        self._listeners: list[Callable[[], None]] = []
        self._tasks = KeptTasks(logger)
        # Before anything is recorded: the state of this job is sealed with it.
        setup.kept_state.load(entry.joined.work)
        self._parts = Parts(setup, entry, liveness, self._hooks())
        self._writers = self._parts.writers
        # These include what the job before was saying when it died.
        self._turns = self._writers.transcript.turns
        self.chat_ctx = chat_context(self._turns, setup.settings.model_turns)
        """The conversation so far, for the model."""
        self._typed = TypedText(
            known=self._was_typed,
            record=self._record_typed,
            refuse=self._parts.channel.refused,
        )
        self._late_join = LateJoin(
            self._parts, on_joined=self._on_joined_late, on_lost=self._on_lost
        )
        self._emptied_store = EmptiedStore(
            self._parts, on_gone=self._on_gone, on_emptied=self._on_emptied
        )
        self._ending = Ending(self._parts, stop_joining=self._stop_joining)
        self._first_enter = FirstEnter(
            setup.agent_session,
            is_muted=entry.kind.is_succession and not is_unbegun(self._turns),
        )
        self._arrivals = Arrivals(
            self._parts, self._ending, self._first_enter, on_changed=self._tell_listeners
        )
        setup.agent_session.on("conversation_item_added", self._on_item_added)
        self.change(self._with_participant)
        self._begin()

    def _hooks(self) -> Hooks:
        return Hooks(
            on_lost=self._on_lost,
            on_came=self._on_came,
            on_arrived=self._on_arrived,
            is_over=lambda: self._ending.is_over,
        )

    def _begin(self) -> None:
        parts, joined = self._parts, self._entry.joined
        parts.name_in_logs()
        parts.metrics.begin()
        if self._entry.offline_start is None:
            parts.log("joined", outcome=joined.outcome.value, visit=self.visit)
        else:
            self._late_join.start(self._entry.offline_start)
            parts.log("begun without the store")

    @property
    def start_args(self) -> dict[str, Any]:
        """Keyword arguments for ``agent_session.start``: the room, and how to listen in it.

        On livekit-agents 2.0 the conversation so far is among them.
        """
        return {
            "room": self._setup.ctx.room,
            "room_options": dataclasses.replace(
                self._parts.room_options,
                # Without it, RoomIO links to the first participant in the room.
                participant_identity=self._entry.participant.identity,
                # With it, a reload would leave a mute agent behind.
                close_on_disconnect=False,
                text_input=TextInputOptions(text_input_cb=self._typed.receive),
            ),
            # A host lets every participant in the room read the history and drive the agent.
            "session_host": False,
            **start_args_for(self.chat_ctx),
        }

    @property
    def content(self) -> SessionContent:
        """What is kept besides the turns: language, context, metadata."""
        return self._writers.content.content

    @property
    def session_id(self) -> str:
        """The session that this conversation is kept in."""
        return self._parts.session_id

    @property
    def visit(self) -> int:
        """How many times the participant came, this time included."""
        return self._arrivals.visit

    @property
    def is_new(self) -> bool:
        """Whether nothing was said in this conversation before this job, as far as is known."""
        return not self._turns

    @property
    def entry(self) -> EntryKind:
        """How this job came to the conversation: new, return, takeover or handoff."""
        return self._entry.kind

    @property
    def gap(self) -> timedelta:
        """How long the participant was away before the newest return; zero for a new conversation.

        After a takeover or a handoff: how long the participant was without an agent. A return to
        this job is measured by its own clock, all else by the store's.
        """
        return self._arrivals.gap

    @property
    def active_agent(self) -> str | None:
        """Id of the agent of the last agent transfer; ``None`` if there was no transfer."""
        return active_agent(self._turns)

    @property
    def state(self) -> Any:
        """What the program works on: the agent session's ``userdata``, if ``persist`` keeps it."""
        return self._setup.kept_state.value

    @property
    def state_error(self) -> StateError | None:
        """Why the state of earlier jobs is not in ``state``, or not all of it; else ``None``.

        It is kept aside: see ``session-store export``.
        """
        return self._setup.kept_state.error

    @overload
    async def resume(self, agent: SomeAgent) -> SomeAgent: ...
    @overload
    async def resume(self) -> Agent: ...
    async def resume(self, agent: Agent | None = None) -> Agent:
        """Give an agent the conversation so far, before ``agent_session.start``; return it.

        Without an agent it is the one of ``persist(agents=…)`` that was active.

        The conversation stands behind what the agent's context already holds. The agent's
        ``on_enter`` runs, once per job, and is heard; also if the participant returns to a new job.
        After a takeover or a handoff the participant was there all the time. Then what
        ``on_enter`` itself says is muted, and no model is asked for it, until it returns, awaits a
        task, hands over, or the participant speaks. What tasks and background tasks say is heard.

        Fields that an agent of this id returned from its ``dump_state()`` are given to its
        ``load_state(fields)``, if it has these methods.
        """
        agent = goes_on(self._setup.agents, self._turns) if agent is None else agent
        self._setup.kept_state.load_agent(agent)
        await extend_context(agent, self.chat_ctx)
        self._first_enter.of(agent)
        return agent

    def change(self, change: Callable[[SessionContent], SessionContent]) -> None:
        """Change the content now. It is written soon after, or once the store is back."""
        before = self.content
        self._writers.content.change(change)
        if self.content != before:
            self._tell_listeners()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``content`` or ``visit`` have changed."""
        self._listeners.append(listener)

    def watch(self, *models: stt.STT[Any] | tts.TTS[Any]) -> None:
        """Tell the participant also when these models fail, which stand before a fallback.

        An agent session reports the failures of its own models alone.
        """
        self._parts.outages.watch(*models)

    async def greet(self, instructions: str | None = None) -> None:
        """Begin to receive the participant. Call it once, after ``agent_session.start``.

        What was said last and not answered yet is answered. Words that ``persist`` was given greet
        a new participant, and welcome a returning one; without them, and without ``instructions``,
        nothing is added to what the agent says in ``on_enter``. After a takeover or a handoff the
        agent does not greet.

        If the participant returns while this job lives, ``on_enter`` does not run again. Then the
        agent's ``on_return`` runs, an async method without arguments, if the current agent has one.
        Else the words or instructions are used. Else, if the agent has spoken in its ``on_enter``,
        its model says one thing, and is told for how long the participant was away.

        Args:
            instructions: for the agent's model, which greets by them where words would be spoken.
                An answer that is owed takes their place.
        """
        await restore_calls(self._setup.agent_session, self.chat_ctx)
        await self._arrivals.greet(instructions)

    async def erase(self) -> None:
        """Erase everything about the participant, here and in the store, and end soon after.

        Raises:
            StoreUnavailable: after three tries; it is unknown whether it was erased. Try again.
            JournalFailed: the erasure could not be noted outside of Redis, so nothing was erased.
        """
        await self._ending.erase()

    async def finish(self) -> None:
        """End the conversation and its job for good. No other agent is sent.

        The participant's next visit begins a new conversation. Without this call, a job that ends
        while its participant is in the room counts as lost.

        Raises:
            StoreUnavailable: the conversation has not ended, and goes on. Try again.
        """
        await self._ending.finish()

    async def ended(self) -> None:
        """Wait until the conversation is over, and all that can be written is written."""
        await self._ending.ended()

    def _with_participant(self, content: SessionContent) -> SessionContent:
        participant, place = self._entry.participant, self._entry.place
        known: dict[str, Any] = {"identity": participant.name or participant.identity}
        if participant.metadata:
            known["metadata"] = participant.metadata
        return content.model_copy(update=known).at(place)

    def _on_lost(self, error: SessionStoreError) -> None:
        if isinstance(error, SessionGone) and self._writers.mark and not self._ending.is_erasing:
            self._emptied_store.ask(error)
            return
        self._ending.lost(error)

    def _on_gone(self, gone: SessionGone) -> None:
        self._ending.lost(gone)

    def _on_emptied(self) -> None:
        if not self._ending.is_over:
            self._late_join.start(self._writers.begin_again())

    async def _stop_joining(self) -> None:
        await self._emptied_store.aclose()
        await self._late_join.aclose()

    def _on_came(self, coming: Coming) -> None:
        self._arrivals.came(coming)

    def _on_arrived(self, arrival: Arrival) -> None:
        self._arrivals.counted(arrival)

    def _on_joined_late(self, joined: Joined) -> None:
        self._parts.name_in_logs()
        self._arrivals.joined_late(joined)

    def _on_item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if self._ending.is_over:
            return
        if isinstance(item, llm.AgentHandoff) and item.old_agent_id is not None:
            self._tasks.spawn(restore_calls(self._setup.agent_session, self.chat_ctx))
        if self._writers.transcript.record_if_new(item) and isinstance(item, llm.ChatMessage):
            self._note_context(item)

    def _was_typed(self, message_id: str) -> bool:
        """Return whether a typed message was recorded before; its record is then shown again."""
        if self._ending.is_over or not self._writers.transcript.knows(message_id):
            return False
        self._writers.transcript.show_again(message_id)
        return True

    def _record_typed(self, message: llm.ChatMessage) -> bool:
        if self._ending.is_over:
            return False
        with contextlib.suppress(RecorderFull):  # The agent answers it nevertheless.
            self._writers.transcript.record_typed(message)
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

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()
