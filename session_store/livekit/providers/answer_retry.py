"""An answer that a provider's failure has prevented: the model is asked again until it answers.

The participant said something, which is recorded, and the model failed. The participant need not
repeat it: the model is asked again, after longer and longer pauses, while the participant is there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import llm

from session_store.livekit.job.greeting import answer
from session_store.livekit.job.versions import context_of
from session_store.tasks import Backoff, KeptTasks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from livekit.agents import AgentSession, AgentStateChangedEvent, SpeechCreatedEvent
    from livekit.agents.voice import SpeechHandle

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
MOST_CUTS: Final = 1
"""How often an answer that breaks off in its middle is begun again. More would be annoying: the
participant would hear the same half again and again."""
_JITTER: Final = (0.75, 1.25)
"""Many conversations wait for the same provider, and must not all ask it at the same moment."""


def backoff() -> Backoff:
    """Return the pauses between tries."""
    return Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, jitter=_JITTER)


class AnswerRetry:
    """Watches the replies of an agent session, and asks for a failed one again."""

    def __init__(
        self,
        agent_session: AgentSession[Any],
        *,
        passes: Callable[[], bool | None],
        fails_in_silence: Callable[[], bool],
        is_present: Callable[[], bool],
        on_answering: Callable[[], None],
    ) -> None:
        """Begin to watch.

        Args:
            agent_session: the session to watch.
            passes: whether what prevents answers now passes by itself; ``None`` if nothing does.
            fails_in_silence: whether replies fail now without an error of their own: LiveKit
                reports only the errors of a language model.
            is_present: whether the participant is there.
            on_answering: hears that a reply of the model is being said.
        """
        self._agent_session = agent_session
        self._passes = passes
        self._fails_in_silence = fails_in_silence
        self._is_present = is_present
        self._on_answering = on_answering
        self._replies: set[str] = set()
        self._cut: set[str] = set()
        """Replies that the model's failure has cut off."""
        self._cuts = 0
        """How many in a row."""
        self._is_owed = False
        self._trying: asyncio.Task[None] | None = None
        self._tasks = KeptTasks(logger)
        agent_session.on("speech_created", self._on_speech_created)
        agent_session.on("agent_state_changed", self._on_agent_state)

    async def aclose(self) -> None:
        """Stop watching, and trying."""
        self._agent_session.off("speech_created", self._on_speech_created)
        self._agent_session.off("agent_state_changed", self._on_agent_state)
        self._is_owed = False
        await self._tasks.aclose()

    def note_failure(self) -> None:
        """Note that the model has given up on what is being said now, perhaps in its middle."""
        speech = self._agent_session.current_speech
        if speech is not None and speech.id in self._replies:
            self._cut.add(speech.id)

    def _on_speech_created(self, event: SpeechCreatedEvent) -> None:
        if event.source == "generate_reply":
            self._replies.add(event.speech_handle.id)
            event.speech_handle.add_done_callback(self._on_reply_done)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        speech = self._agent_session.current_speech
        if event.new_state == "speaking" and speech is not None and speech.id in self._replies:
            self._is_owed = False
            self._on_answering()

    def _on_reply_done(self, reply: SpeechHandle) -> None:
        self._replies.discard(reply.id)
        is_cut = reply.id in self._cut and _has_words(reply)
        self._cut.discard(reply.id)
        self._cuts = self._cuts + 1 if is_cut else 0
        if self._cuts > MOST_CUTS:
            self._cuts, self._is_owed = 0, False
            self._on_answering()  # No retry follows.
        elif not is_cut and not self._has_failed(reply):
            self._is_owed = False
        elif not reply.interrupted and (passes := self._passes()) is not None:
            self._is_owed = True
            if passes and (self._trying is None or self._trying.done()):
                self._trying = self._tasks.spawn(self._keep_trying())

    async def _keep_trying(self) -> None:
        pauses = backoff()
        while True:
            await pauses.pause()
            if not self._is_owed or not self._passes():
                return
            if not self._may_try():
                continue
            try:
                reply = answer(self._agent_session, self._question())
            except RuntimeError:
                return  # The agent session is closing.
            await reply

    def _has_failed(self, reply: SpeechHandle) -> bool:
        """Return whether a failure has kept a reply from any words of the agent."""
        if _has_words(reply):
            return False
        if reply.exception() is not None:
            return True
        return not reply.chat_items and self._fails_in_silence()

    def _may_try(self) -> bool:
        session = self._agent_session
        is_quiet = session.agent_state in {"listening", "idle"} and session.user_state != "speaking"
        return is_quiet and self._is_present()

    def _question(self) -> llm.ChatContext:
        """Return the conversation up to what wants an answer: the agent may have greeted since."""
        context = context_of(self._agent_session)
        while context.items and not _wants_answer(context.items[-1]):
            context.items.pop()
        return context


def _has_words(reply: SpeechHandle) -> bool:
    items = reply.chat_items
    return bool(items) and isinstance(items[-1], llm.ChatMessage) and items[-1].role == "assistant"


def _wants_answer(item: llm.ChatItem) -> bool:
    is_said = isinstance(item, llm.ChatMessage) and item.role == "user"
    return is_said or isinstance(item, llm.FunctionCallOutput)
