"""What is being said right now, kept while it is said, so that a kill in mid-sentence loses little.

A turn is recorded when it is over. Until then its words are a draft: the user's as they are
recognised, the agent's at the pace at which they are spoken. The store has one draft for each of
the two. The turn that settles a draft takes its id. So one of them is left in the end, in whatever
order a draft and its turn arrive.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from livekit.agents import llm
from livekit.agents.utils import shortuuid
from livekit.agents.voice.io import TextOutput

from session_store.errors import InvalidValue, LeaseLost, SessionGone
from session_store.livekit.job.chat_items import turn_of
from session_store.livekit.job.versions import may_become_a_turn
from session_store.models import RECOVERED, Draft
from session_store.tasks import LONGEST_RETRY_S, Loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from livekit.agents import AgentSession, UserInputTranscribedEvent
    from livekit.agents.voice.room_io import RoomOptions

    from session_store.models import RecordedTurn, Turn
    from session_store.store import SessionStore
    from session_store.values import Lease

    Role: TypeAlias = Literal["user", "assistant"]

logger = logging.getLogger(__name__)

EVERY_S: Final = 0.25
"""The shortest time between two writes of drafts. A kill loses at most so much of the words."""
LOOKS: Final = 2
"""Words that no turn will have are thrown away when so many looks in a row have found that."""


class SettledDraft(NamedTuple):
    """The draft that a finished turn replaces."""

    settles: int = 0
    """Number of its newest version; 0 if none was written."""
    turn_id: str | None = None
    """The id that the turn takes over from the draft; ``None`` if none was written."""


class Drafts:
    """Gathers what is being said, and writes it every ``EVERY_S`` at most. Nothing blocks."""

    def __init__(self, store: SessionStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._agent_session: AgentSession[Any] | None = None
        self._speeches: dict[Role, _Speech] = {
            "user": _Speech("user"),
            "assistant": _Speech("assistant"),
        }
        self._segment_is_open = False
        self._segment_is_over = False
        self._wake = asyncio.Event()
        self._loop = Loop(self._write, name="drafts")
        self._over = False

    def overhear(self, agent_session: AgentSession[Any], options: RoomOptions) -> RoomOptions:
        """Listen to both sides; return the options with which to start the agent session.

        Our text output comes before the one that the options name. Without a text output in the
        room, the agent's words come as the model writes them, ahead of its voice.
        """
        self._agent_session = agent_session
        agent_session.on("user_input_transcribed", self._on_transcribed)
        own = agent_session.output.transcription
        text_output = options.get_text_output_options()
        if own is not None or text_output is None:
            # RoomIO makes none then, and leaves this one alone.
            agent_session.output.transcription = _Overhearing(self, own)
            return dataclasses.replace(options, text_output=False)
        chained = _Overhearing(self, text_output.next_in_chain)
        return dataclasses.replace(
            options, text_output=dataclasses.replace(text_output, next_in_chain=chained)
        )

    def settle(self, message: llm.ChatMessage) -> SettledDraft:
        """Return the draft that this finished message replaces, and begin the next draft."""
        if message.role not in self._speeches:
            return SettledDraft()
        speech = self._speeches[message.role]
        follows = _Speech(message.role)
        if message.role == "user":
            # The user may be speaking again already.
            follows.finals = speech.finals_after(message.text_content or "")
            follows.interim = speech.interim
        else:
            # The last words may come only now, until the segment is flushed.
            self._segment_is_over = self._segment_is_open
        self._speeches[message.role] = follows
        if follows.words:
            self._note(follows)
        return SettledDraft(speech.number, speech.id) if speech.number else SettledDraft()

    def agent_said(self, words: str) -> None:
        """Note words of the agent; the text output calls it."""
        speech = self._speeches["assistant"]
        if not self._segment_is_open:
            self._segment_is_open = True
            speech = self._open_segment(speech)
        if not self._segment_is_over:
            speech.finals.append(words)
            self._note(speech)

    def agent_flushed(self) -> None:
        """Note the end of a segment of the agent's words; the text output calls it."""
        self._segment_is_open = self._segment_is_over = False

    def typed(self) -> int:
        """Return the number of the user's draft, which a typed message settles.

        The typed message continues the conversation: half a sentence that was understood before
        needs no answer any more. If the user is still speaking, that becomes a turn like any other.
        """
        return self._speeches["user"].number

    async def give_up(self, *, has_left: bool) -> None:
        """Take back what no turn will have: this job ends in order, so the agent's speech is over.

        Args:
            has_left: the user has. Then what was half understood is taken back too. A successor
                needs that of a user who stays, and may be speaking at this moment.

        Raises:
            SessionStoreError: it was not written.
        """
        self._over = True
        await self._loop.aclose()
        before = {role: speech.words for role, speech in self._speeches.items()}
        self._speeches["assistant"].throw_away()
        if has_left:
            self._speeches["user"].interim = ""
        for role, speech in self._speeches.items():
            if speech.number and speech.words != before[role]:
                sealed = self._store.seal_draft(self._lease, speech.turn())
                await self._store.keep_draft(self._lease, sealed)

    def begin_again(self) -> None:
        """Write again, under a lease that begins anew."""
        self._over = False
        for speech in self._speeches.values():
            speech.number, speech.is_noted = 0, bool(speech.words)
        self._loop.start()
        self._wake.set()

    async def aclose(self) -> None:
        """Stop listening and writing. What is written stays, for the next job to find."""
        self._over = True
        if self._agent_session is not None:
            self._agent_session.off("user_input_transcribed", self._on_transcribed)
        await self._loop.aclose()

    def _open_segment(self, speech: _Speech) -> _Speech:
        """Return the speech to which a new segment belongs: this one, or a new one."""
        handle = self._agent_session.current_speech if self._agent_session else None
        if handle is not None and speech.of_speech not in (None, handle.id):
            # The speech before has left no turn.
            speech = self._speeches["assistant"] = _Speech("assistant")
        speech.of_speech = handle.id if handle is not None else speech.of_speech
        return speech

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        speech = self._speeches["user"]
        before = speech.words
        if event.is_final:
            speech.finals.append(event.transcript)
        speech.interim = "" if event.is_final else event.transcript
        if speech.words != before:
            self._note(speech)

    def _note(self, speech: _Speech) -> None:
        if self._over:
            return
        speech.begun_at = speech.begun_at or time.time()
        speech.is_noted = True
        self._wake.set()
        self._loop.start()

    async def _write(self) -> None:
        while not self._over:
            await self._wake.wait()
            self._wake.clear()
            pause_s = EVERY_S
            self._throw_away()
            for role in tuple(self._speeches):
                # Read only now: its turn may have been recorded while the other was written.
                speech = self._speeches[role]
                if speech.is_noted and not await self._keep(speech):
                    pause_s = LONGEST_RETRY_S
            if any(speech.number and speech.words for speech in self._speeches.values()):
                self._wake.set()  # To look again whether a turn will have them.
            await asyncio.sleep(pause_s)

    def _throw_away(self) -> None:
        """Throw away what was thrown away in the agent session: no turn will have it."""
        for role, speech in self._speeches.items():
            is_left = bool(speech.words) and not self._may_become_a_turn(role, speech)
            speech.looks_left = speech.looks_left - 1 if is_left else LOOKS
            if not speech.looks_left:
                speech.throw_away()
                speech.is_noted = bool(speech.number)

    def _may_become_a_turn(self, role: Role, speech: _Speech) -> bool:
        if self._agent_session is None:
            return True
        if role == "user":
            return may_become_a_turn(self._agent_session)
        # LiveKit records what the agent said before it begins to speak again, or falls silent.
        current = self._agent_session.current_speech
        is_over = current is None or speech.of_speech not in (None, current.id)
        return self._segment_is_open or not is_over

    async def _keep(self, speech: _Speech) -> bool:
        """Write a draft; return whether the store has it, or never will."""
        speech.is_noted = False
        try:
            sealed = self._store.seal_draft(self._lease, speech.turn())
            speech.number = sealed.number
            await self._store.keep_draft(self._lease, sealed)
        except (LeaseLost, SessionGone):
            self._over = True  # The keeper of the lease reports it.
        except InvalidValue:
            return True  # The turn cannot be kept either; that is logged when it is over.
        except Exception as error:  # noqa: BLE001 (newer words come soon, and are written then)
            logger.debug("a draft was not kept", extra={"error": type(error).__name__})
            speech.is_noted = True
            self._wake.set()
            return False
        return True


class _Speech:
    """What one side is saying, from its first word until its turn is recorded."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.id = shortuuid("item_")
        self.finals: list[str] = []
        """What will not change any more: recognised sentences, or spoken words."""
        self.interim = ""
        """The part of the current sentence that is recognised so far."""
        self.begun_at: float | None = None
        self.number = 0
        self.is_noted = False
        self.looks_left = LOOKS
        self.of_speech: str | None = None
        """Id of LiveKit's speech handle."""

    def throw_away(self) -> None:
        """Forget the words. What is said next begins anew."""
        self.finals, self.interim, self.begun_at = [], "", None
        self.looks_left = LOOKS

    @property
    def words(self) -> str:
        """All that was said so far."""
        between = " " if self.role == "user" else ""
        return between.join(filter(None, (*self.finals, self.interim))).strip()

    def finals_after(self, text: str) -> list[str]:
        """Return the sentences that follow those of a turn with this text."""
        wanted = text.split()
        for count in range(1, len(self.finals) + 1):
            said = " ".join(self.finals[:count]).split()
            if wanted and said[-len(wanted) :] == wanted:
                return self.finals[count:]
        return []

    def turn(self) -> Turn:
        """Return it as the turn that a successor records."""
        message = llm.ChatMessage(
            id=self.id,
            role=self.role,
            content=[self.words],
            created_at=self.begun_at or time.time(),
            # As far as a successor can know, the user's words are complete.
            interrupted=self.role == "assistant",
        )
        return turn_of(message)


class _Overhearing(TextOutput):
    """Notes the agent's words on their way to the room, at the pace of its speech."""

    def __init__(self, drafts: Drafts, next_in_chain: TextOutput | None) -> None:
        super().__init__(label="rejoin", next_in_chain=next_in_chain)
        self._drafts = drafts

    async def capture_text(self, text: str) -> None:
        """Note words that are being spoken."""
        self._drafts.agent_said(text)
        if self.next_in_chain is not None:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        """Note the end of a segment."""
        self._drafts.agent_flushed()
        if self.next_in_chain is not None:
            self.next_in_chain.flush()


def recovered(drafts: Iterable[Draft], turns: Iterable[RecordedTurn]) -> list[Draft]:
    """Return the drafts that a successor has to record as turns, in the order of time.

    It skips a draft without words, and a draft that became a turn after all. Each draft is marked,
    so that its whole turn replaces it if that comes in late.
    """
    said = tuple(recorded.turn for recorded in turns)
    known = {turn.id for turn in said}
    newest = {turn.role: turn for turn in said}
    lost = [
        Draft(draft.number, _marked(draft.turn))
        for draft in drafts
        if draft.turn.text.strip()
        and draft.turn.id not in known
        and not _became(draft.turn, newest.get(draft.turn.role))
    ]
    return sorted(lost, key=lambda draft: draft.turn.created_at)


def _marked(turn: Turn) -> Turn:
    return turn.model_copy(update={"details": {**turn.details, RECOVERED: True}})


def _became(draft: Turn, newest: Turn | None) -> bool:
    """Return whether a draft has become the newest turn of its side."""
    if newest is None:
        return False
    words = draft.text.split()
    # LiveKit dates a turn of the agent before its first word, one of the user after the last.
    in_time = draft.role == "assistant" or newest.created_at >= draft.created_at
    return in_time and newest.text.split()[: len(words)] == words
