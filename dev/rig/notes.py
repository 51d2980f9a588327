"""What a scripted participant was sent, with the times (monotonic, in seconds)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dev.rig.net import NET_S

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.01


class Kind(StrEnum):
    """What happened."""

    CONNECTED = "connected"
    DROPPED = "dropped"
    """The SDK gave up; ``reason`` is LiveKit's."""
    RECONNECTING = "reconnecting"
    RECONNECTED = "reconnected"
    NO_TOKEN = "no_token"
    """The gateway refused; ``status`` and ``code``."""
    AGENT_CAME = "agent_came"
    AGENT_LEFT = "agent_left"
    AGENT_STATE = "agent_state"
    """``state`` is what ``lk.agent.state`` says."""
    TOLD = "told"
    """An attribute of the participant's own was changed; all changed ones are in ``fields``."""
    HELLO = "hello"
    TURN = "turn"
    SAVED = "saved"
    REFUSED = "refused"
    NOTICE = "notice"
    ERASED = "erased"
    """These six are messages on ``rj.record``, with their fields."""
    WORDS = "words"
    """A piece of ``lk.transcription``: ``text``, ``segment``, ``mine`` (what the user said)."""
    TYPED = "typed"
    """Typed by this participant: ``id`` and ``text``."""
    SENT = "sent"
    """Handed to LiveKit, for ``who``: ``id``."""
    SOUND = "sound"
    """An agent begins to be heard, after silence."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened."""

    at: float
    kind: Kind
    who: str = ""
    """Identity of the agent that it is about, or from."""
    fields: dict[str, Any] = field(default_factory=dict)


class Notes:
    """All that happened to one participant, in order."""

    def __init__(self) -> None:
        self.all: list[Note] = []

    def add(self, kind: Kind, who: str = "", **fields: Any) -> None:
        """Note that something happened now."""
        self.all.append(Note(time.monotonic(), kind, who, fields))

    def of(
        self,
        *kinds: Kind,
        after: float = 0.0,
        where: Callable[[Note], object] = lambda _: True,
    ) -> list[Note]:
        """Return the notes of these kinds that are later than ``after`` and meet a condition."""
        return [note for note in self.all if note.kind in kinds and note.at > after and where(note)]

    async def first(
        self,
        *kinds: Kind,
        after: float = 0.0,
        where: Callable[[Note], object] = lambda _: True,
        within_s: float = NET_S,
    ) -> Note:
        """Return the first such note, now or as soon as it comes.

        Raises:
            AssertionError: with all that happened, when it does not come within this time.
        """
        deadline = time.monotonic() + within_s
        while not (found := self.of(*kinds, after=after, where=where)):
            if time.monotonic() > deadline:
                kinds_wanted = " or ".join(kinds)
                raise AssertionError(f"no {kinds_wanted} within {within_s:g} s:\n{self.told()}")
            await asyncio.sleep(_POLL_S)
        return found[0]

    def told(self, since: float = 0.0) -> str:
        """Tell what happened, a line each."""
        start = self.all[0].at if self.all else 0.0
        return "\n".join(
            f"{note.at - start:8.3f} {note.kind} {note.who[-6:]} {note.fields or ''}"
            for note in self.all
            if note.at > since
        )
