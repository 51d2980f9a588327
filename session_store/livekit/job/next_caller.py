"""Sends another agent for a caller who came, into the same room, under the name of the one before.

All callers with a withheld number have one identity. LiveKit sends an agent when a room is made, so
it sends none for the second caller, and the first one's job must not serve a stranger.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from livekit import api
from livekit.protocol.agent_dispatch import JRP_NEVER

from session_store.livekit.rooms.dispatch import Dispatch

if TYPE_CHECKING:
    from livekit.agents import JobContext

logger = logging.getLogger(__name__)

SEND_S: Final = 2.0
"""How long the end of a job waits for LiveKit's answer."""


async def send_another(ctx: JobContext) -> None:
    """Dispatch an agent as this job was dispatched. If LiveKit does not answer, none comes."""
    place = Dispatch.of_job(ctx.job).place("")
    request = api.CreateAgentDispatchRequest(
        room=place.room,
        agent_name=place.agent_name,
        metadata=place.metadata,
        attributes=place.attributes,
        deployment=place.deployment,
        restart_policy=JRP_NEVER,
    )
    try:
        async with asyncio.timeout(SEND_S):
            await ctx.api.agent_dispatch.create_dispatch(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError, ValueError) as error:
        extra = {"room": ctx.room.name, "error": type(error).__name__}
        logger.warning("the next caller in this room gets no agent", extra=extra)
