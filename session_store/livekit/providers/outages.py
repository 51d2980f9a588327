"""Providers that fail: the participant is told once, in plain words, and the conversation goes on.

By itself, LiveKit closes an agent session after a few failures of its provider. The job would end,
a successor would fail in the same way, and so on. So the agent session is kept open. The failure is
shown and spoken, and the notice is cleared when the provider answers.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import APIError

from session_store.livekit.job.versions import realtime_session_of
from session_store.livekit.providers.answer_retry import AnswerRetry
from session_store.livekit.providers.failures import failure_of
from session_store.livekit.providers.spoken_notice import speak_notice
from session_store.livekit.providers.words import words_of_failure
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import (
        AgentSession,
        ConversationItemAddedEvent,
        ErrorEvent,
        UserInputTranscribedEvent,
        stt,
        tts,
    )

    from session_store.livekit.providers.failures import ProviderFailure
    from session_store.meter import Meter, ProviderPart

logger = logging.getLogger(__name__)

TOLD_AT: Final = 2
"""The participant is told of a failure at this attempt: the first retry often succeeds."""
TOLD_AGAIN_S: Final = 30.0
"""Seconds before a participant who keeps talking is told again. A silent one is told once."""
SETTLED_S: Final = 1.0
"""A connection that has worked for this time has recovered."""
QUIET_S: Final = 20.0
"""Recognition that has not failed for this time may work again: only speech would show it."""
MUTE_S: Final = 30.0
"""How long a failed voice is left alone, if there is no spare one."""

_DISCONNECTED: Final = {"auth", "unreachable"}
"""Kinds of failures that leave a realtime model without a connection."""
_THINKING: Final[tuple[ProviderPart, ...]] = ("llm", "realtime")
_WEIGHT: Final[tuple[ProviderPart, ...]] = (*_THINKING, "stt", "tts")
"""Of several failures, the first of these is shown."""


class ProviderOutages:
    """Watches providers for failures, and tells the participant. No method blocks."""

    def __init__(  # noqa: PLR0913 (made in one place only)
        self,
        agent_session: AgentSession[Any],
        *,
        show: Callable[[str], None],
        language: Callable[[], str],
        is_present: Callable[[], bool],
        meter: Meter,
        spare_voice: tts.TTS[Any] | None,
    ) -> None:
        """Begin to listen.

        Args:
            agent_session: started or not.
            show: puts words on the participant's page until the next call; "" clears them.
            language: returns the language of the conversation.
            is_present: returns whether the participant is there.
            meter: counts failures.
            spare_voice: speaks if the agent session has no voice, or its voice fails.
        """
        self._agent_session = agent_session
        self._show = show
        self._language = language
        self._is_present = is_present
        self._meter = meter
        self._spare_voice = spare_voice
        self._failed: dict[ProviderPart, int] = {}
        """How many times in a row each part has failed."""
        self._out: dict[ProviderPart, ProviderFailure] = {}
        self._recovering: set[ProviderPart] = set()
        """Parts that wait for their next success."""
        self._other_voice_speaks = False
        self._deafened = False
        self._shown = ""
        self._told_s = -float("inf")
        self._more_was_said = False
        """Whether the participant has said more since they were told."""
        self._tasks = KeptTasks(logger)
        self._owed = AnswerRetry(
            agent_session,
            passes=self._passes,
            fails_in_silence=lambda: self._is_mute or "realtime" in self._out,
            is_present=is_present,
            on_answering=self._on_answering,
        )
        agent_session.on("error", self._on_error)
        agent_session.on("user_input_transcribed", self._on_heard)
        agent_session.on("conversation_item_added", self._on_item_added)

    def watch(self, *models: stt.STT[Any] | tts.TTS[Any]) -> None:
        """Watch models before a fallback, too: the agent session does not report their failures."""
        for model in models:
            model.on("error", partial(self._on_fronted_error, model))

    def show_again(self) -> None:
        """Show the current notice to a page that has just come."""
        if self._shown:
            self._show(self._shown)

    async def aclose(self) -> None:
        """Stop listening."""
        self._agent_session.off("error", self._on_error)
        self._agent_session.off("user_input_transcribed", self._on_heard)
        self._agent_session.off("conversation_item_added", self._on_item_added)
        await self._owed.aclose()
        await self._tasks.aclose()

    def _on_error(self, event: ErrorEvent) -> None:
        failure = failure_of(event.error)
        if failure is None:
            return
        is_last = not event.error.recoverable
        if failure.part != "realtime":
            # Keeps LiveKit from closing the agent session. A realtime model that has given up does
            # not recover, so a new job is better there.
            event.error.recoverable = True
        if failure.part == "tts":
            self._other_voice_speaks = False
        # LiveKit restarts recognition after its own errors; after any other error it is over.
        is_over = failure.part == "stt" and not isinstance(event.error.error, APIError)
        if self._note(failure, is_last=is_last, is_over=is_over):
            if failure.part == "tts":
                self._mute()
            elif failure.part == "realtime" and failure.kind in _DISCONNECTED:
                self._deafen()
        source = event.source
        if failure.part == "realtime":
            source = realtime_session_of(self._agent_session)
        self._await_recovery(failure.part, source)

    def _on_fronted_error(
        self, model: stt.STT[Any] | tts.TTS[Any], error: stt.STTError | tts.TTSError
    ) -> None:
        failure = failure_of(error)
        if failure is not None:
            self._other_voice_speaks = failure.part == "tts"
            self._note(failure, is_last=not error.recoverable)
            self._await_recovery(failure.part, model)

    def _note(self, failure: ProviderFailure, *, is_last: bool, is_over: bool = False) -> bool:
        """Count a failure; tell the participant if it is worth it, and return whether it is."""
        part = failure.part
        self._meter.provider_failed(part, failure.kind)
        logger.warning(
            "a provider has failed",
            extra={"part": part, "kind": failure.kind, "is_retried": not is_last},
        )
        self._failed[part] = self._failed.get(part, 0) + 1
        if is_last and part in _THINKING:
            self._owed.note_failure()
        if not (is_last or self._is_worth_telling(failure)):
            return False
        is_new = part not in self._out
        if is_new or failure.passes <= self._out[part].passes:
            # A refused key often brings a lost connection with it, which says less.
            self._out[part] = failure
        self._show_worst()
        now_s = asyncio.get_running_loop().time()
        is_late = is_last and now_s - self._told_s > TOLD_AGAIN_S
        if is_new or (is_late and self._more_was_said):
            self._told_s, self._more_was_said = now_s, False
            if part != "tts":
                self._tasks.spawn(self._speak(self._words(failure)))
        if part == "stt" and not is_over:
            self._tasks.spawn(self._over_when_quiet(part, QUIET_S))
        return True

    def _is_worth_telling(self, failure: ProviderFailure) -> bool:
        """Return whether to tell of a failure that is being retried."""
        if failure.kind == "auth" or self._failed[failure.part] >= TOLD_AT:
            return failure.part != "realtime" or failure.kind != "other" or failure.passes
        # A realtime model that refuses an answer does not retry by itself.
        return failure.part == "realtime" and failure.kind != "unreachable" and failure.passes

    async def _speak(self, words: str) -> None:
        voices = [self._agent_session.tts, self._spare_voice]
        if not self._is_present():
            return
        await speak_notice(self._agent_session, words, [voice for voice in voices if voice])

    def _words(self, failure: ProviderFailure) -> str:
        return words_of_failure(failure, self._language(), has_spare_voice=self._other_voice_speaks)

    def _show_worst(self) -> None:
        words = next((self._words(self._out[part]) for part in _WEIGHT if part in self._out), "")
        if words != self._shown:
            self._shown = words
            self._show(words)

    def _await_recovery(self, part: ProviderPart, model: Any) -> None:
        """Wait once for the next success: an answer of a language model, or metrics of the rest."""
        if part == "llm" or part in self._recovering or model is None:
            return
        self._recovering.add(part)

        def note(_: object) -> None:
            self._recovering.discard(part)
            self._tasks.spawn(self._over_when_quiet(part, SETTLED_S))

        model.once("metrics_collected", note)

    async def _over_when_quiet(self, part: ProviderPart, for_s: float) -> None:
        failed = self._failed.get(part, 0)
        await asyncio.sleep(for_s)
        if self._failed.get(part, 0) == failed:
            self._end(part)

    def _on_item_added(self, event: ConversationItemAddedEvent) -> None:
        self._more_was_said |= getattr(event.item, "role", "") == "user"

    def _on_heard(self, _: UserInputTranscribedEvent) -> None:
        self._end("stt")

    def _on_answering(self) -> None:
        for part in _THINKING:
            self._end(part)

    def _end(self, part: ProviderPart) -> None:
        self._failed.pop(part, None)
        if self._out.pop(part, None) is None:
            return
        logger.info("a provider is back", extra={"part": part})
        if self._deafened and part == "realtime":
            self._deafened = False
            self._agent_session.input.set_audio_enabled(True)
        self._show_worst()

    def _passes(self) -> bool | None:
        """Return whether what prevents answers passes by itself; ``None`` if nothing does."""
        thinking = [self._out[part] for part in _THINKING if part in self._out]
        if thinking:
            return all(failure.passes for failure in thinking)
        # Without a voice, the answer can be written.
        return True if self._is_mute else None

    @property
    def _is_mute(self) -> bool:
        return "tts" in self._out and not self._other_voice_speaks

    def _deafen(self) -> None:
        """Hear nothing while the model is away, or it would answer minutes later."""
        audio = self._agent_session.input
        if audio.audio is not None and audio.audio_enabled:
            self._deafened = True
            audio.set_audio_enabled(False)

    def _mute(self) -> None:
        """Answer in writing while the voice fails, or there would be no answer at all."""
        self._agent_session.output.set_audio_enabled(False)
        self._tasks.spawn(self._unmute_later())

    async def _unmute_later(self) -> None:
        await asyncio.sleep(MUTE_S)
        self._agent_session.output.set_audio_enabled(True)
