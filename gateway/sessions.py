"""``POST /api/token``: the LiveKit TokenSource schema, and the conversation so far."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import ConversationUnreadable, LiveKitUnavailable, OperatorNeeded
from gateway.identity import SecretId, participant_of
from gateway.tokens import mint
from session_store import AgentPresence, SealBroken, UnknownKey
from session_store.errors import UnknownSchema
from session_store.page import shown_after

if TYPE_CHECKING:
    from gateway.app import Parts
    from session_store import Opened, SessionStore

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/api")

SessionId = Annotated[str, Field(pattern=r"^[a-z2-7]{26}$")]


class Attributes(BaseModel):
    """The attributes that a page may set."""

    model_config = ConfigDict(extra="forbid")

    load_id: Annotated[
        str,
        Field(alias="rj.load", min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]+$"),
    ]
    """Random name of this page load."""


class TokenRequest(BaseModel):
    """What a page asks for. Fields of the schema that it may not choose are not among these."""

    model_config = ConfigDict(extra="forbid")

    participant_identity: SecretId
    participant_attributes: Attributes | None = None
    session_id: SessionId | None = None
    """The session that the page shows."""
    after_seq: Annotated[int, Field(ge=0, le=2**53)] = 0
    """The newest turn that the page has of it."""
    new_session: Annotated[bool, Field(strict=True)] = False
    """Begin another session, whatever ``session_id`` says."""


class TokenAnswer(BaseModel):
    """What livekit-client needs, and what the page shows before it has connected."""

    server_url: str
    participant_token: str
    participant_identity: str
    room_name: str
    session_id: str
    resumed: bool
    last_seq: int
    language: str
    turns: list[dict[str, Any]]


@router.post("/token", status_code=201)
async def token(wanted: TokenRequest, request: Request) -> TokenAnswer:
    """Open the page's session, make its room, and see to it that an agent comes."""
    parts: Parts = request.app.state.parts
    await parts.check_keys()
    participant = participant_of(wanted.participant_identity, parts.store)
    opened = await _open(parts.store, participant, wanted)
    session_id = opened.session.id
    try:
        await parts.rooms.make(session_id)
    except LiveKitUnavailable:
        if opened.agent is AgentPresence.WANTED:
            await parts.rooms.give_back(participant, session_id)
        raise
    parts.rooms.look_after(participant, session_id, opened.agent)
    known = wanted.after_seq if wanted.session_id == session_id else 0
    attributes = wanted.participant_attributes
    return TokenAnswer(
        server_url=parts.settings.public_url,
        participant_token=mint(
            parts.settings,
            participant=participant,
            room=session_id,
            load_id=attributes.load_id if attributes else "",
        ),
        participant_identity=participant,
        room_name=session_id,
        session_id=session_id,
        resumed=opened.resumed,
        last_seq=opened.session.seq,
        language=opened.session.content.language,
        turns=shown_after(known, opened.turns),
    )


async def _open(store: SessionStore, participant: str, wanted: TokenRequest) -> Opened:
    """Find the session that goes on, or begin another where that is wanted.

    Raises:
        ConversationUnreadable: the one that goes on does not open; a new one would.
        OperatorNeeded: neither would.
    """
    try:
        if wanted.new_session:
            return await store.open_new(participant, expect_agent=True)
        return await store.open(participant, session_id=wanted.session_id, expect_agent=True)
    except (SealBroken, UnknownKey, UnknownSchema) as error:
        logger.warning("a conversation cannot be opened", extra={"reason": str(error)})
        if wanted.new_session or _is_of_data_key(error):
            raise OperatorNeeded from None
        raise ConversationUnreadable from None


def _is_of_data_key(error: SealBroken | UnknownKey | UnknownSchema) -> bool:
    """Tell whether it is the participant's data key that does not open, and not one session."""
    return isinstance(error, UnknownKey) or (
        isinstance(error, SealBroken) and error.session_id is None
    )
