"""What happens when the participant comes: the page is updated, and the agent greets or answers."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from session_store.livekit.job.greeting import (
    Visit,
    answer,
    fall_silent,
    note_of_return,
    speak,
    wait_for_silence,
)
from session_store.livekit.job.model_context import chat_context, merged
from session_store.livekit.job.owed_answer import owed
from session_store.livekit.job.participant import coming_of, load_id_of
from session_store.livekit.job.versions import context_of, has_return_hook, start_return_hook
from session_store.livekit.job.workarounds import keep_voice
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import llm

    from session_store.livekit.job.conversation_parts import Parts
    from session_store.livekit.job.ending import Ending
    from session_store.livekit.job.first_enter import FirstEnter
    from session_store.livekit.job.owed_answer import Owed
    from session_store.livekit.job.participant import Coming
    from session_store.values import Arrival, Joined

logger = logging.getLogger(__name__)

RESENT_TURNS: Final = 20
"""How many turns are shown again to a page that was away for a moment and may have missed some."""
WELCOME_WITHIN_S: Final = 10.0
"""A participant whose arrival is counted only later has been talking for a while: no welcome."""
MAY_SPEAK_WITHIN_S: Final = 5.0
"""How long a change of agents may keep the agent from speaking."""
TRY_AGAIN_S: Final = 0.05
PREFERRED_NAME: Final = "name"
"""Key in ``context.preferences`` of the name that the participant likes to be called."""


class Arrivals:
    """Receives the participant: at the start of the agent, and at each return."""

    def __init__(
        self,
        parts: Parts,
        ending: Ending,
        first_enter: FirstEnter,
        *,
        on_changed: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            parts: of the conversation.
            ending: its end.
            first_enter: the ``on_enter`` of the agent that ``resume`` was given.
            on_changed: hears of each change of ``visit``, and must not block.
        """
        self._parts = parts
        self._ending = ending
        self._on_changed = on_changed
        self._agent_session = parts.setup.agent_session
        self._first_enter = first_enter
        self._words = parts.setup.words
        self._instructions: str | None = None
        self._writers = parts.writers
        self._turns = parts.writers.transcript.turns
        self._came_at = asyncio.get_running_loop().time()
        self._greeted = False
        self._was_entered = False
        """Whether the participant was there to hear the first ``on_enter``."""
        self._tasks = KeptTasks(logger)
        self.visit = parts.entry.joined.session.visit
        """How many times the participant came, this time included."""
        self.gap = parts.entry.gap
        """How long the participant was away before it came last, or without an agent."""

    async def greet(self, instructions: str | None) -> None:
        """Begin to watch for the participant; receive a participant who is in the room already."""
        if self._ending.is_over:
            return
        self._instructions = instructions
        keep_voice(self._agent_session)
        arrived = self._parts.presence.start()
        self._was_entered = arrived is not None and not self._first_enter.is_muted
        self._note_start(is_present=arrived is not None)
        if arrived is None:
            self._writers.visits.left()
        elif load_id_of(arrived) != self._parts.entry.coming.load_id:
            # The page was loaded again since the join.
            self.came(coming_of(arrived))
        else:
            await self._receive()

    def came(self, coming: Coming) -> None:
        """Receive the participant again, while this job lives."""
        if self._ending.is_erased:
            self._parts.channel.erased()  # The page may have missed it.
        if self._ending.is_over:
            return
        if self._parts.entry.participant.is_stranger(coming.load_id):
            self._ending.make_way()
            return
        # At once: a page need not wait for a store that is unreachable.
        self._came_at = asyncio.get_running_loop().time()
        self._say_hello()
        self._writers.transcript.show_newest(RESENT_TURNS)
        self._writers.visits.came(coming)

    def counted(self, arrival: Arrival) -> None:
        """Welcome the participant, once the store has counted the arrival."""
        self.visit = arrival.reconnect_count + 1
        if arrival.counted:
            self.gap = timedelta(seconds=self._parts.presence.away_s)
        self._on_changed()
        waited_s = asyncio.get_running_loop().time() - self._came_at
        if (arrival.counted or not self._greeted) and waited_s < WELCOME_WITHIN_S:
            self._tasks.spawn(self._welcome(is_return=arrival.counted))

    def joined_late(self, joined: Joined) -> None:
        """Update the page after a conversation that began without the store has joined."""
        self.visit = joined.session.visit
        self._parts.log("joined late", outcome=joined.outcome.value, visit=self.visit)
        self._say_hello()
        self._writers.transcript.show_newest(RESENT_TURNS)
        self._on_changed()

    def _note_start(self, *, is_present: bool) -> None:
        entry = self._parts.entry
        self._parts.log("listening", present=is_present)
        # Nothing was resumed if the store was unreachable.
        if entry.offline_start is None:
            self._parts.metrics.resumed(entry.joined.outcome, waited_from=entry.waited_from)

    async def _receive(self) -> None:
        self._say_hello()
        if self._is_takeover or self._parts.entry.participant.session_id is None:
            # The dead job may have recorded turns that it could not show any more. And a page that
            # our gateway has not admitted has nothing but this.
            self._writers.transcript.show_newest(RESENT_TURNS)
        await self._welcome(is_return=not self._is_takeover)

    def _say_hello(self) -> None:
        lease = self._writers.lease
        self._parts.channel.hello(
            session_id=lease.session_id,
            language=self._writers.content.content.language,
            last_seq=lease.last_seq,
            saved=lease.granted,
            back=self._is_takeover,
        )
        self._parts.outages.show_again()

    @property
    def _is_takeover(self) -> bool:
        """Whether the job before died, or left, while the participant was there."""
        return self._parts.entry.kind.is_succession

    async def _welcome(self, *, is_return: bool) -> None:
        """Greet a new participant or welcome a returning one, and answer what is unanswered."""
        first, self._greeted = not self._greeted, True
        is_new = first and not self._turns
        if self._words is not None:
            await fall_silent(self._agent_session)
        debt = owed(self._turns) if first else None
        agent = self._agent_session.current_agent
        # Copied before the greeting is in it: the question is its last item.
        context = self._context_for(debt)
        if is_new or is_return:
            is_again = not first or not self._was_entered
            await self._say_welcome(is_new=is_new, is_again=is_again, owes=bool(debt))
        if not debt:
            return

        def settle() -> None:
            is_same = self._agent_session.current_agent is agent
            asked = context if is_same else self._context_for(debt)
            answer(self._agent_session, asked, without_tools=debt.is_unknown)

        await self._when_it_may_speak(settle)

    async def _say_welcome(self, *, is_new: bool, is_again: bool, owes: bool) -> None:
        """Have the agent greet a new participant, or welcome a returning one.

        Args:
            is_new: nothing was said in this conversation before.
            is_again: the agent has entered before the participant came.
            owes: an answer is owed, and follows. It takes the place of words of the model, which
                has the question before it, and would answer it twice.
        """
        if is_again and has_return_hook(self._agent_session):
            await self._return()
        elif self._words is not None:
            await wait_for_silence(self._agent_session)
            if words := self._words(self._visit_of(is_new=is_new)):
                await self._when_it_may_speak(lambda: speak(self._agent_session, words))
        elif instructions := self._instructions or self._note_for(is_again=is_again):
            if owes:
                return
            if is_again:
                await fall_silent(self._agent_session)
            await wait_for_silence(self._agent_session)
            await self._when_it_may_speak(
                lambda: self._agent_session.generate_reply(instructions=instructions)
            )

    def _note_for(self, *, is_again: bool) -> str | None:
        """Return what the model is told of a return; ``None`` if the agent does not greet."""
        return note_of_return(self.gap) if is_again and self._first_enter.has_spoken else None

    async def _return(self) -> None:
        """Run the current agent's ``on_return``."""
        await fall_silent(self._agent_session)
        await wait_for_silence(self._agent_session)
        try:
            await start_return_hook(self._agent_session)
        except Exception:
            logger.exception("on_return has failed")

    def _context_for(self, debt: Owed | None) -> llm.ChatContext:
        """Return the context of the agent, with all that an answer needs, if one is owed."""
        context = context_of(self._agent_session)
        if not debt:
            return context
        # The agent may have begun a task by now, with a context of its own.
        newest = self._parts.setup.settings.model_turns
        return merged(context, chat_context(self._turns, newest))

    async def _when_it_may_speak(self, speak_now: Callable[[], object]) -> None:
        """Have the agent say something as soon as it may.

        LiveKit takes no new speech while it changes from one agent to the next, or to a task: an
        ``on_enter`` may do that at this moment.
        """
        until = asyncio.get_running_loop().time() + MAY_SPEAK_WITHIN_S
        while not self._ending.is_over:
            try:
                speak_now()
            except RuntimeError as error:
                if asyncio.get_running_loop().time() > until:
                    logger.warning("the agent may not speak", extra={"error": str(error)})
                    return
            else:
                return
            await asyncio.sleep(TRY_AGAIN_S)

    def _visit_of(self, *, is_new: bool) -> Visit:
        content = self._writers.content.content
        name = content.context.preferences.get(PREFERRED_NAME)
        return Visit(
            number=1 if is_new else self.visit,
            language=content.language,
            name=name if isinstance(name, str) else None,
            known=self._writers.lease.granted,
        )
