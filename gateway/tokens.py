"""LiveKit tokens: what a page may do in its room."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from livekit import api

from session_store.page_turns import LOAD_ID

if TYPE_CHECKING:
    from gateway.settings import GatewaySettings


def mint(settings: GatewaySettings, *, participant: str, room: str, load_id: str) -> str:
    """Sign a token for one room: its page may speak, listen and write, not change metadata."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=False,
    )
    token = api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret)
    token = token.with_identity(participant).with_grants(grants)
    token = token.with_ttl(timedelta(seconds=settings.gateway_token_ttl_s))
    if load_id:
        token = token.with_attributes({LOAD_ID: load_id})
    return token.to_jwt()
