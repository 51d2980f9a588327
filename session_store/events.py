"""What happens to sessions, as frozen events: published by Redis, and told to hooks in-process.

An event is a hint, never the truth: a subscriber that was away has missed some, and reads the
store. It holds ids, times and counts; nothing that a person said or is called.
"""

from __future__ import annotations

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
    """A participant came back: a rejoin, which was counted."""
    PARTICIPANT_LEFT = "participant_left"
    SESSION_ENDED = "session_ended"
    """Once per session: its resume window has passed, or it was closed."""
    LEASE_LOST = "lease_lost"
    """A holder did not renew its lease, nor give it back, or is known to be dead: the lease was
    broken by who dispatches a successor, once."""
    TAKEOVER = "takeover"
    """A job goes on with a session whose job before is gone without having given it back."""
    HANDOFF = "handoff"
    """The same, after the job before gave it back while its participant was there."""
    ERASED = "erased"
    """A session is erased; without ``session_id``, the whole participant."""
    TURN_APPENDED = "turn_appended"
    """Published only with ``REJOIN_PUBLISH_TURNS``; hooks hear it always."""


class Event(BaseModel):
    """One thing that happened. Unknown fields are ignored: newer publishers may add some."""

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
    """How many were appended."""
    visit_ms: int = 0
    """How long the participant had been there, where a visit is over."""
    silent_ms: int = 0
    """Of a takeover: how long ago the lost holder had renewed its lease last."""

    @classmethod
    def parse(cls, payload: bytes) -> Event | None:
        """Read a published event; ``None`` for one of a version or type not known here."""
        try:
            return cls.model_validate_json(payload)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Stands in a stream of events where some may be missing: read the store."""


class EventHook(Protocol):
    """Hears, in this process, what this process did. One sink per hook."""

    def on_event(self, event: Event) -> None:
        """Take note; must neither block nor raise."""
        ...


class SealFailure(NamedTuple):
    """Something stored that does not open."""

    participant: str
    session_id: str
    error: SessionStoreError
    """``SealBroken``, ``UnknownKey`` or ``UnknownSchema``: these hold ids, and no content."""


class SealHook(Protocol):
    """Hears, in this process, of what does not open."""

    def on_seal_failure(self, failure: SealFailure) -> None:
        """Take note; must neither block nor raise."""
        ...
