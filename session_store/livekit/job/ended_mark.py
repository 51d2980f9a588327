"""Marks a participant whom the agent has left on purpose: no watcher sends a successor."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from livekit import api

from session_store.livekit.rooms.rooms import AGENT, ENDED

if TYPE_CHECKING:
    from livekit.agents import JobContext

logger = logging.getLogger(__name__)

MARK_S: Final = 2.0
"""How long the end of a job waits for LiveKit's answer."""


async def mark_as_ended(ctx: JobContext, identity: str) -> None:
    """Set the mark, in the room. It goes with the participant's connection.

    The store knows the end too, unless it is unreachable. If LiveKit does not answer either, a
    successor may come.
    """
    request = api.UpdateParticipantRequest(
        room=ctx.room.name, identity=identity, attributes={AGENT: ENDED}
    )
    try:
        async with asyncio.timeout(MARK_S):
            await ctx.api.room.update_participant(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError, ValueError) as error:
        # The room may have been deleted, and nobody is left in it.
        extra = {"error": type(error).__name__}
        logger.debug("the end of the conversation is not marked in the room", extra=extra)
