"""Whose conversation a job is for, and which of its arrivals is a new one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from session_store.page_turns import LOAD_ID

if TYPE_CHECKING:
    from livekit import rtc

logger = logging.getLogger(__name__)

SIP_CALL_ID: Final = "sip.callID"
_METADATA: Final = TypeAdapter(dict[str, JsonValue])


class JobMetadata(BaseModel):
    """What the gateway writes into a dispatch: whom the job is for.

    Only who holds the server's API key can write it, so it is believed.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    participant: str
    """The pseudonym, which is also the LiveKit identity."""
    session_id: str
    admitted_at_ms: int = Field(default=0, alias="let_in_ms")
    """When it let them in without the store (Unix milliseconds): then there may be no such session
    yet. 0: the store has opened it."""

    @classmethod
    def parse(cls, metadata: str) -> Self | None:
        """Read a job's metadata; ``None`` if it is not the gateway's."""
        try:
            return cls.model_validate_json(metadata)
        except ValidationError:
            return None


class Owner(NamedTuple):
    """The participant whose conversation it is."""

    identity: str
    """As LiveKit knows it."""
    participant: str
    """As the store knows it."""
    session_id: str | None
    """The session that the gateway opened, where there is a gateway."""
    metadata: dict[str, JsonValue]
    """What the token says about the participant."""
    admitted_at_ms: int = 0
    """See ``JobMetadata.admitted_at_ms``."""


def metadata_of(participant: rtc.RemoteParticipant) -> dict[str, JsonValue]:
    """Return what the token says about the participant: its metadata, if that is an object."""
    try:
        return _METADATA.validate_json(participant.metadata)
    except ValidationError:
        return {}


def load_id_of(participant: rtc.RemoteParticipant) -> str:
    """Return what names this page load or call; empty where nothing does."""
    attributes = participant.attributes
    return attributes.get(LOAD_ID) or attributes.get(SIP_CALL_ID) or ""
