"""What is kept: a session, its turns, and the context that outlives them.

All models are frozen: a change is a new object, and the store decides what is current.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION = 2
"""Version of what is sealed from now on; part of every record's associated data. All older ones
are read too: see ``session_store.sealing.schema``."""

MAX_TURN_BYTES = 256 * 1024
"""Largest sealed turn, and draft. Longer ones are refused before anything is written."""

RECOVERED = "recovered"
"""Key in the details of a turn that a successor made of a draft: it may not be the whole turn."""

MAX_CONTENT_BYTES = 256 * 1024
"""Largest sealed content of a session."""

Identifier = Annotated[str, Field(min_length=1, max_length=128)]


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
    """Who spoke; ``None`` for everything but messages."""
    text: str = ""
    """What was said; for an interrupted turn, only what was heard."""
    created_at: float
    """Unix time in seconds, as LiveKit gives it."""
    interrupted: bool = False
    details: dict[str, JsonValue] = Field(default_factory=dict)
    """What a ``ChatItem`` has beyond the fields above (a tool's name, arguments, call id)."""


class RecordedTurn(NamedTuple):
    """A turn and its place in the session's record."""

    seq: int
    """Position from 1, without gaps; of a late turn, its position under its own lease."""
    turn: Turn
    late: bool = False
    """Whether it came in after a takeover, from the job before."""


class Draft(NamedTuple):
    """What was being said when it was read: no turn yet, and perhaps never one."""

    number: int
    """Grows over the whole session: a turn says up to which it settles those of its role."""
    turn: Turn


class SessionContext(_Frozen):
    """What the agent should know of a participant after the turns were trimmed."""

    last_query: str | None = None
    last_response: str | None = None
    preferences: dict[str, JsonValue] = Field(default_factory=dict)


class Witness(_Frozen):
    """The newest turn that existed when the content was sealed; shows a record cut at its end."""

    seq: int
    tag: str
    """The authentication tag of that turn, in hex."""


class Place(_Frozen):
    """Where a job was sent: what a successor is dispatched with."""

    room: str
    agent_name: str = ""
    metadata: str = ""


class SessionContent(_Frozen):
    """The sealed part of a session: everything that says something about a person."""

    identity: str | None = None
    language: str = "en"
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    context: SessionContext = Field(default_factory=SessionContext)
    title: str | None = None
    summary: str | None = None
    witness: Witness | None = None
    place: Place | None = None
    """Where the newest job is; ``None`` where it did not say."""


class SessionState(StrEnum):
    """Where a session is in its life."""

    NEW = "new"
    """Opened; no agent has joined yet."""
    LIVE = "live"
    """The participant is here."""
    AWAY = "away"
    """The participant left; within the resume window the session goes on."""
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
    """First join, UTC; ``None`` before it."""
    last_seen: datetime
    resume_until: datetime | None
    """Until when a rejoin continues this session, UTC; ``None`` unless the state is ``away``."""
    ended_at: datetime | None = None
    """When it ended, UTC; ``None`` unless it has."""
    talk_s: float = 0.0
    """How long the participant was there, in seconds, over all visits that are over."""
    reconnect_count: int
    seq: int
    """Number of turns ever recorded."""
    version: int
    """Counts changes of ``content``; 0 when none was written yet."""
    content: SessionContent
    readable: bool = True
    """False in a list, where the seal of the content is broken: ``content`` is then empty."""

    @property
    def visit(self) -> int:
        """How many times the participant came, this time included."""
        return self.reconnect_count + 1
