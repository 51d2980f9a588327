"""``POST /api/token``: admit a page, with the conversation so far.

Request and answer extend the schema of LiveKit's TokenSource.
"""

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
    from gateway.limits import CallerLimits
    from gateway.parts import Parts
    from session_store import Opened, SessionStore

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/api")

SessionId = Annotated[str, Field(pattern=r"^[a-z2-7]{26}$")]


class Attributes(BaseModel):
    """The participant attributes that a page may set."""

    model_config = ConfigDict(extra="forbid")

    load_id: Annotated[
        str,
        Field(alias="rj.load", min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]+$"),
    ]
    """A random id of this page load."""


class TokenRequest(BaseModel):
    """A page's request. It lacks the fields of LiveKit's schema that a page may not choose."""

    model_config = ConfigDict(extra="forbid")

    participant_identity: SecretId
    participant_attributes: Attributes | None = None
    session_id: SessionId | None = None
    """The session that the page shows."""
    after_seq: Annotated[int, Field(ge=0, le=2**53)] = 0
    """The newest turn of that session that the page has."""
    new_session: Annotated[bool, Field(strict=True)] = False
    """Begin a new session, regardless of ``session_id``."""
    without_store: Annotated[bool, Field(strict=True)] = False
    """The page was admitted to ``session_id`` while the store was unreachable, and does not know
    yet that the session is stored."""
    unless_elsewhere: Annotated[bool, Field(strict=True)] = False
    """Admit the page only if no other page load of its participant is in the room."""

    @property
    def load_id(self) -> str:
        """The id of the page load; empty if the page sent none."""
        return self.participant_attributes.load_id if self.participant_attributes else ""


class TokenAnswer(BaseModel):
    """An admission: what livekit-client needs, and what the page shows before it connects."""

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
    """False if the store is unreachable. The conversation is saved later; the page asks again."""


@router.post("/token", status_code=201)
async def token(wanted: TokenRequest, request: Request) -> TokenAnswer:
    """Open the page's session, make its room, and dispatch an agent if it needs one."""
    parts: Parts = request.app.state.parts
    _refuse_flood(
        parts.limits_by_address, caller_at(request.client.host if request.client else None)
    )
    participant = participant_of(wanted.participant_identity, parts.store)
    _refuse_flood(parts.limits_by_participant, participant)
    if wanted.unless_elsewhere:
        await _refuse_elsewhere(parts, participant, wanted)
    try:
        await parts.check_keys()
        opened = await _open(parts, participant, wanted)
    except (StoreUnavailable, StoreRefused) as error:
        # Unreachable, full, read-only, or a refused login: an agent can talk, and saves later.
        logger.warning(
            "store unavailable: admitting a page without it", extra={"reason": str(error)}
        )
        return await _admit_without_store(parts, participant, wanted)
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


def _refuse_flood(limits: CallerLimits, caller: str) -> None:
    wait_s = limits.take(caller)
    if wait_s:
        raise TooManyRequests(wait_s)


async def _admit_without_store(parts: Parts, participant: str, wanted: TokenRequest) -> TokenAnswer:
    """Admit a participant while the store is unreachable; the conversation is saved later.

    The page gets the session that it names if the id was made for this participant: it could have
    had that room anyway. The gateway cannot know whether that session has ended.
    """
    named = wanted.session_id if not wanted.new_session else None
    resumed = named is not None and parts.store.keyring.owns(participant, named)
    session_id = named if named and resumed else parts.store.keyring.new_session_id(participant)
    await parts.rooms.make(session_id)
    parts.rooms.bring_without_store(participant, session_id)
    return TokenAnswer(
        **_admission(parts, participant, session_id, wanted),
        resumed=resumed,
        last_seq=wanted.after_seq if resumed else 0,
        language="",
        turns=[],
        saved=False,
    )


def _admission(
    parts: Parts, participant: str, session_id: str, wanted: TokenRequest
) -> dict[str, str]:
    """Return the fields with which a page enters its room."""
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
    """Refuse a page that another page load of its participant has replaced in the room.

    Raises:
        GoesOnElsewhere: if admitted, this page would replace the other one in turn.
    """
    session_id = wanted.session_id
    if session_id is None or not parts.store.keyring.owns(participant, session_id):
        return
    if await parts.rooms.is_elsewhere(participant, session_id, wanted.load_id):
        raise GoesOnElsewhere


async def _open(parts: Parts, participant: str, wanted: TokenRequest) -> Opened:
    """Open the session to resume, or begin a new one.

    Raises:
        ConversationUnreadable: the session to resume does not open; a new one would.
        OperatorNeeded: neither would open.
    """
    store, scope = parts.store, parts.settings.livekit_agent_name
    try:
        if wanted.new_session:
            return await store.open_new(participant, expect_agent=True, scope=scope)
        if wanted.without_store and wanted.session_id is not None:
            return await _open_admitted(store, participant, wanted.session_id, scope)
        return await store.open(
            participant, session_id=wanted.session_id, expect_agent=True, scope=scope
        )
    except (SealBroken, UnknownKey, UnknownSchema) as error:
        logger.warning("a session does not open: admitting no page", extra={"reason": str(error)})
        if wanted.new_session or _is_of_data_key(error):
            raise OperatorNeeded from None
        raise ConversationUnreadable from None


async def _open_admitted(
    store: SessionStore, participant: str, session_id: str, scope: str
) -> Opened:
    """Open the session to which a page was admitted without the store.

    The page and its agent are in that session's room already. The first of them to reach the store
    creates the session; a session that has ended is opened again. If the id was not made for this
    participant, their session that can resume is opened, as usual.
    """
    if not store.keyring.owns(participant, session_id):
        return await store.open(participant, expect_agent=True, scope=scope)
    try:
        return await store.switch(participant, session_id, expect_agent=True, scope=scope)
    except SessionGone:
        return await store.open_new(
            participant, session_id=session_id, expect_agent=True, scope=scope
        )


def _is_of_data_key(error: SealBroken | UnknownKey | UnknownSchema) -> bool:
    """Return whether the participant's data key does not open, not just one session."""
    return isinstance(error, UnknownKey) or (
        isinstance(error, SealBroken) and error.session_id is None
    )
