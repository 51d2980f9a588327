"""What happens to sessions, as frozen events: Redis publishes them, and hooks in-process get them.

An event is a hint: a subscriber that was disconnected has missed some, and reads the store. An
event holds ids, times and counts. It never holds words or names of a person.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from session_store.errors import SessionStoreError

EVENT_VERSION: Final = 1


class EventType(StrEnum):
    """What happened."""

    SESSION_CREATED = "session_created"
    SESSION_RESUMED = "session_resumed"
    """A participant came back, and the return was counted."""
    PARTICIPANT_LEFT = "participant_left"
    SESSION_ENDED = "session_ended"
    """The resume window has passed, or the session was closed; once per session."""
    LEASE_LOST = "lease_lost"
    """A lease ran out, or its holder is known to be dead. The watcher that dispatches a successor
    broke the lease; once per lease."""
    TAKEOVER = "takeover"
    """A job continues a session after the previous job died without a release of its lease."""
    HANDOFF = "handoff"
    """A job continues a session after the previous job released its lease, with its participant
    present."""
    ERASED = "erased"
    """A session was erased; without ``session_id`` the whole participant."""
    TURN_APPENDED = "turn_appended"
    """Published only with ``REJOIN_PUBLISH_TURNS``; hooks always get it."""


class Event(BaseModel):
    """One event. Unknown fields are ignored: newer publishers may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1] = EVENT_VERSION
    type: EventType
    at: int
    """Unix time in milliseconds, by Redis's clock."""
    participant: str
    """Pseudonym."""
    session_id: str = ""
    seq: int = 0
    """The newest turn, for ``turn_appended``."""
    turns: int = 0
    """How many turns were appended."""
    visit_ms: int = 0
    """How long a finished visit lasted, in ms."""
    silent_ms: int = 0
    """Of a takeover: ms since the lost holder's last renewal."""

    @classmethod
    def parse(cls, payload: bytes) -> Event | None:
        """Read a published event; ``None`` if its version or type is not known here."""
        try:
            return cls.model_validate_json(payload)
        except ValidationError:
            return None


def turn_appended(participant: str, session_id: str, seq: int, *, turns: int) -> Event:
    """Make the event of an append. Its time is this machine's: only the script knows Redis's."""
    return Event(
        type=EventType.TURN_APPENDED,
        at=time.time_ns() // 1_000_000,
        participant=participant,
        session_id=session_id,
        seq=seq,
        turns=turns,
    )


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Marks a place in a stream where events may be missing: read the store."""


class EventHook(Protocol):
    """Gets the events that this process caused. One sink per hook."""

    def on_event(self, event: Event) -> None:
        """Take note; must neither block nor raise."""
        ...


class SealFailure(NamedTuple):
    """A stored record could not be opened."""

    participant: str
    session_id: str
    error: SessionStoreError
    """``SealBroken``, ``UnknownKey`` or ``UnknownSchema``. They hold ids, and no content."""


class SealHook(Protocol):
    """Gets the records that this process could not open."""

    def on_seal_failure(self, failure: SealFailure) -> None:
        """Take note; must neither block nor raise."""
        ...
