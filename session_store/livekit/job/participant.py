"""The participant of a job, and what tells one of its arrivals from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import JsonValue, TypeAdapter, ValidationError

from session_store.livekit.rooms.anonymous import SIP_CALL_ID, is_anonymous, name_of_stranger
from session_store.page_turns import LOAD_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit import rtc

    NamedBy = str | Callable[[rtc.RemoteParticipant], str | None]
    """See ``identity`` of ``persist``."""

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
    name: str = ""
    """The name from which the pseudonym was made; empty if it was made elsewhere."""
    call: str = ""
    """The phone call of an anonymous caller, who has no other name; else empty."""

    def is_stranger(self, load_id: str) -> bool:
        """Return whether a participant who came under the same identity is another person."""
        return self.call not in {"", load_id}


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


def name_and_call(
    participant: rtc.RemoteParticipant, named_by: NamedBy | None, room_sid: str
) -> tuple[str, str]:
    """Return the name of a participant for the store, and the call of an anonymous caller.

    Args:
        participant: in the room.
        named_by: what ``persist`` was given.
        room_sid: LiveKit's id of this very room.
    """
    identity, attributes = participant.identity, participant.attributes
    if named_by is None:
        name, known = identity, attributes
    else:
        # A name that the program gives says more than what the call does not.
        name = named_by if isinstance(named_by, str) else named_by(participant) or ""
        known = {}
    if is_anonymous(name, known):
        return name_of_stranger(identity, attributes, room_sid), attributes.get(SIP_CALL_ID, "")
    return name, ""
