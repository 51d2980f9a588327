"""The participant of a job, and what tells one of its arrivals from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import JsonValue, TypeAdapter, ValidationError

from session_store.page_turns import LOAD_ID

if TYPE_CHECKING:
    from livekit import rtc

SIP_CALL_ID: Final = "sip.callID"
_METADATA: Final = TypeAdapter(dict[str, JsonValue])


class JobParticipant(NamedTuple):
    """The participant whom a job is for."""

    identity: str
    """The name under which LiveKit knows it."""
    pseudonym: str
    """The name under which the store knows it."""
    session_id: str | None
    """The session that the gateway opened; ``None`` if there is no gateway."""
    metadata: dict[str, JsonValue]
    """What its token says about it."""
    admitted_at_ms: int = 0
    """See ``JobMetadata.admitted_at_ms``."""
    expected_session_id: str | None = None
    """The session that most likely goes on, if a watcher sent the job."""


class Coming(NamedTuple):
    """What tells one arrival of a participant from another."""

    load_id: str
    """Of its page load or phone call; empty if it has none."""
    came_ms: int = 0
    """When it came to the room, by LiveKit's clock in Unix milliseconds; 0 if that is not known."""


def coming_of(participant: rtc.RemoteParticipant) -> Coming:
    """Return the arrival of a participant who is in the room."""
    joined_at = participant.joined_at
    came_ms = round(joined_at.timestamp() * 1000) if joined_at else 0
    return Coming(load_id_of(participant), came_ms)


def metadata_of(participant: rtc.RemoteParticipant) -> dict[str, JsonValue]:
    """Return the metadata of the participant's token; empty if it is not a JSON object."""
    try:
        return _METADATA.validate_json(participant.metadata)
    except ValidationError:
        return {}


def load_id_of(participant: rtc.RemoteParticipant) -> str:
    """Return the id of this page load or phone call; empty if it has none."""
    attributes = participant.attributes
    return attributes.get(LOAD_ID) or attributes.get(SIP_CALL_ID) or ""
