"""What is kept: a session, its turns, and the context that outlives them.

All models are frozen: a change is a new object, and the store decides what is current.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION = 3
"""Version of new sealed records; part of every record's associated data. All older versions can be
read too: see ``session_store.sealing.schema``."""

MAX_TURN_BYTES = 256 * 1024
"""Largest turn or draft, in bytes. A larger one is refused before anything is written."""

RECOVERED = "recovered"
"""Key in the details of a turn that a successor made from a draft. It may be incomplete."""

MAX_PLACES = 3
"""Of how many rooms a session knows."""

MAX_CONTENT_BYTES = 256 * 1024
"""Largest sealed content of a session."""

MAX_STATE_BYTES = 64 * 1024
"""Largest state of a program (``Work``), in bytes, before it is sealed."""

MAX_ID_CHARS = 128
"""Longest id of a turn."""

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )


class TurnKind(StrEnum):
    """What a turn is; each maps to one kind of LiveKit ``ChatItem``."""

    MESSAGE = "message"
    TOOL_CALL = "tool_call"
    TOOL_OUTPUT = "tool_output"
    HANDOFF = "handoff"


class Turn(_Frozen):
    """One item of the conversation, the unit of append."""

    id: Identifier
    kind: TurnKind = TurnKind.MESSAGE
    role: Literal["user", "assistant", "system", "developer"] | None = None
    """The speaker; ``None`` unless the turn is a message."""
    text: str = ""
    """The words; of an interrupted turn only those that were heard."""
    created_at: float
    """Unix time in seconds, as LiveKit gives it."""
    interrupted: bool = False
    details: dict[str, JsonValue] = Field(default_factory=dict)
    """Other fields of the ``ChatItem``: a tool's name, its arguments, its call id."""


class RecordedTurn(NamedTuple):
    """A turn and its place in the session's record."""

    seq: int
    """Position from 1, without gaps; of a late turn, its position under its own lease."""
    turn: Turn
    late: bool = False
    """Whether the previous job's turn arrived after a takeover."""


class Draft(NamedTuple):
    """Words that are being said and are not a turn yet."""

    number: int
    """Grows over the whole session. A turn names the newest draft of its role that it settles."""
    turn: Turn


@dataclass(frozen=True, slots=True)
class Work:
    """What the program works on, such as an order or a cart: opaque bytes for the store."""

    seq: int
    """Number of the turn with which it was recorded; 0 for a conversation that never joined."""
    data: bytes = field(repr=False)


class SessionContext(_Frozen):
    """What the agent should know about a participant after old turns were trimmed."""

    last_query: str | None = None
    last_response: str | None = None
    preferences: dict[str, JsonValue] = Field(default_factory=dict)


class Witness(_Frozen):
    """The newest turn when the content was sealed. It reveals a record that was cut at its end."""

    seq: int
    tag: str
    """The authentication tag of that turn, in hex."""


class Place(_Frozen):
    """Where a job was dispatched: a successor is dispatched with the same."""

    room: str
    agent_name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Those of the dispatch, without ours."""
    deployment: str = ""
    """Which deployment of the agent took the job; empty if there is only one."""
    identity: str = ""
    """The name under which LiveKit knows the session's participant there."""
    call: str = ""
    """The phone call of an anonymous participant, whose identity others have too; else empty."""


class SessionContent(_Frozen):
    """The sealed part of a session: all that could identify or describe a person."""

    identity: str | None = None
    language: str = "en"
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    context: SessionContext = Field(default_factory=SessionContext)
    title: str | None = None
    summary: str | None = None
    witness: Witness | None = None
    places: tuple[Place, ...] = ()
    """Where the newest job runs, and where those before it ran: at most ``MAX_PLACES``, each room
    once. The participant may still be in an older one."""

    def at(self, place: Place) -> SessionContent:
        """Return the content with this as the newest place."""
        others = [before for before in self.places if before.room != place.room]
        return self.model_copy(update={"places": (place, *others)[:MAX_PLACES]})


class SessionState(StrEnum):
    """The stage that a session has reached."""

    NEW = "new"
    """Opened; no agent has joined yet."""
    LIVE = "live"
    """The participant is here."""
    AWAY = "away"
    """The participant left. Within the resume window the session can continue."""
    ENDED = "ended"
    """The resume window has passed."""


class Session(_Frozen):
    """A durable record of one conversation, as last read."""

    schema_version: int = SCHEMA_VERSION
    id: Identifier
    participant: Identifier
    """The participant's pseudonym; Redis and LiveKit know no other name."""
    state: SessionState
    joined_at: datetime | None
    """Time of the first join, UTC; ``None`` before it."""
    last_seen: datetime
    resume_until: datetime | None
    """End of the resume window, UTC; ``None`` unless the state is ``away``."""
    ended_at: datetime | None = None
    """When the session ended, UTC; ``None`` before that."""
    talk_s: float = 0.0
    """How long the participant was present, in seconds, over all finished visits."""
    reconnect_count: int
    scope: str = ""
    """A MAC of what this participant's conversations are kept apart by; empty in records of
    earlier versions."""
    seq: int
    """Number of turns ever recorded."""
    version: int
    """Counts changes of ``content``; 0 before the first."""
    content: SessionContent
    readable: bool = True
    """False if the content cannot be opened: ``content`` is then empty. Only lists have such."""

    @property
    def visit(self) -> int:
        """How many times the participant came, this visit included."""
        return self.reconnect_count + 1
