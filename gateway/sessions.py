"""``POST /api/token``: the LiveKit TokenSource schema, and the conversation so far."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import (
    AgentKeepsFailing,
    ConversationUnreadable,
    GoesOnElsewhere,
    LiveKitUnavailable,
    OperatorNeeded,
    TooManyRequests,
)
from gateway.identity import SecretId, participant_of
from gateway.limits import caller_at
from gateway.tokens import mint
from session_store import (
    AgentPresence,
    SealBroken,
    SessionGone,
    StoreRefused,
    StoreUnavailable,
    UnknownKey,
)
from session_store.errors import UnknownSchema
from session_store.page_turns import shown_after

if TYPE_CHECKING:
    from gateway.limits import Buckets
    from gateway.parts import Parts
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
    without_store: Annotated[bool, Field(strict=True)] = False
    """The page was let into ``session_id`` while the store was away, and has not heard since that
    the store has it."""
    unless_elsewhere: Annotated[bool, Field(strict=True)] = False
    """Let the page in only if its participant is not in the room by another page load."""

    @property
    def load_id(self) -> str:
        """The name of the page load; empty where it has none."""
        return self.participant_attributes.load_id if self.participant_attributes else ""


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
    saved: bool = True
    """False: the store is away. What is said is saved later, and the page asks again."""


@router.post("/token", status_code=201)
async def token(wanted: TokenRequest, request: Request) -> TokenAnswer:
    """Open the page's session, make its room, and see to it that an agent comes."""
    parts: Parts = request.app.state.parts
    _refuse_flood(parts.asks_by_address, caller_at(request.client.host if request.client else None))
    participant = participant_of(wanted.participant_identity, parts.store)
    _refuse_flood(parts.asks, participant)
    if wanted.unless_elsewhere:
        await _refuse_elsewhere(parts, participant, wanted)
    try:
        await parts.check_keys()
        opened = await _open(parts.store, participant, wanted)
    except (StoreUnavailable, StoreRefused) as error:
        # Full, read-only, or another login: an agent can talk all the same, and saves later.
        logger.warning("letting somebody in without the store", extra={"reason": str(error)})
        return await _let_in(parts, participant, wanted)
    session_id = opened.session.id
    if opened.agent is AgentPresence.GAVE_UP and not wanted.new_session:
        raise AgentKeepsFailing
    try:
        await parts.rooms.make(session_id)
    except LiveKitUnavailable:
        if opened.agent is AgentPresence.WANTED:
            await parts.rooms.give_back(participant, session_id)
        raise
    if opened.agent is AgentPresence.WANTED:
        parts.rooms.bring(participant, session_id)
    known = wanted.after_seq if wanted.session_id == session_id else 0
    return TokenAnswer(
        **_admission(parts, participant, session_id, wanted),
        resumed=opened.resumed,
        last_seq=opened.session.seq,
        language=opened.session.content.language,
        turns=shown_after(known, opened.turns),
    )


def _refuse_flood(buckets: Buckets, caller: str) -> None:
    wait_s = buckets.take(caller)
    if wait_s:
        raise TooManyRequests(wait_s)


async def _let_in(parts: Parts, participant: str, wanted: TokenRequest) -> TokenAnswer:
    """Let somebody in of whom nothing can be read now: the conversation goes on, unsaved.

    The session that the page names is taken if it was made for this participant, since its room
    is then one that the page could have had. Whether it has ended is not known.
    """
    named = wanted.session_id if not wanted.new_session else None
    goes_on = named is not None and parts.store.keyring.owns(participant, named)
    session_id = named if named and goes_on else parts.store.keyring.new_session_id(participant)
    await parts.rooms.make(session_id)
    parts.rooms.bring_without_store(participant, session_id)
    return TokenAnswer(
        **_admission(parts, participant, session_id, wanted),
        resumed=goes_on,
        last_seq=wanted.after_seq if goes_on else 0,
        language="",
        turns=[],
        saved=False,
    )


def _admission(
    parts: Parts, participant: str, session_id: str, wanted: TokenRequest
) -> dict[str, str]:
    """Return the fields that let a page into its room."""
    return {
        "server_url": parts.settings.public_url,
        "participant_token": mint(
            parts.settings, participant=participant, room=session_id, load_id=wanted.load_id
        ),
        "participant_identity": participant,
        "room_name": session_id,
        "session_id": session_id,
    }


async def _refuse_elsewhere(parts: Parts, participant: str, wanted: TokenRequest) -> None:
    """Refuse a page whose conversation goes on by another page load: it was thrown out by that.

    Raises:
        GoesOnElsewhere: let in, it would throw the other one out in turn.
    """
    session_id = wanted.session_id
    if session_id is None or not parts.store.keyring.owns(participant, session_id):
        return
    if await parts.rooms.is_elsewhere(participant, session_id, wanted.load_id):
        raise GoesOnElsewhere


async def _open(store: SessionStore, participant: str, wanted: TokenRequest) -> Opened:
    """Find the session that goes on, or begin another where that is wanted.

    Raises:
        ConversationUnreadable: the one that goes on does not open; a new one would.
        OperatorNeeded: neither would.
    """
    try:
        if wanted.new_session:
            return await store.open_new(participant, expect_agent=True)
        if wanted.without_store and wanted.session_id is not None:
            return await _open_begun(store, participant, wanted.session_id)
        return await store.open(participant, session_id=wanted.session_id, expect_agent=True)
    except (SealBroken, UnknownKey, UnknownSchema) as error:
        logger.warning("a conversation cannot be opened", extra={"reason": str(error)})
        if wanted.new_session or _is_of_data_key(error):
            raise OperatorNeeded from None
        raise ConversationUnreadable from None


async def _open_begun(store: SessionStore, participant: str, session_id: str) -> Opened:
    """Open the session that a page was let into without the store, whatever the store has of it.

    The page and its agent are in that session's room: whichever of them is first makes it, and
    one that has ended goes on. A named id that was not made for this participant opens what may
    resume, as always.
    """
    if not store.keyring.owns(participant, session_id):
        return await store.open(participant, expect_agent=True)
    try:
        return await store.switch(participant, session_id, expect_agent=True)
    except SessionGone:
        return await store.open_new(participant, session_id=session_id, expect_agent=True)


def _is_of_data_key(error: SealBroken | UnknownKey | UnknownSchema) -> bool:
    """Tell whether it is the participant's data key that does not open, and not one session."""
    return isinstance(error, UnknownKey) or (
        isinstance(error, SealBroken) and error.session_id is None
    )
