"""Seeing a participant as soon as it is there.

LiveKit tells a room at once of participants who publish, and of all others every three seconds
(``subscriberUpdateInterval`` in its ``pkg/rtc/room.go``). Somebody who only types would wait that
long for an agent that joined a moment earlier. A change of attributes is told at once; so, while
the participant is not seen, LiveKit is asked for it, and an attribute of it is set.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from livekit import api, rtc

if TYPE_CHECKING:
    from livekit.agents import JobContext

logger = logging.getLogger(__name__)

SEEN: Final = "rj.seen"
"""Attribute that is set on a participant to have it announced."""
LOOK_EVERY_S: Final = 0.15
LOOKS: Final = 20
"""After these, LiveKit's own announcement has come; and who comes later finds the agent there."""

_KINDS: Final = [
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
]
_API_KINDS: Final = (api.ParticipantInfo.Kind.STANDARD, api.ParticipantInfo.Kind.SIP)


async def wait_for_participant(ctx: JobContext, identity: str | None) -> rtc.RemoteParticipant:
    """Wait for this participant, or for the first person to come where ``identity`` is None."""
    seen = asyncio.create_task(ctx.wait_for_participant(identity=identity, kind=_KINDS))
    try:
        for _ in range(LOOKS):
            done, _pending = await asyncio.wait({seen}, timeout=LOOK_EVERY_S)
            if done or await _announced(ctx, identity):
                break
        return await seen
    finally:
        seen.cancel()


async def _announced(ctx: JobContext, identity: str | None) -> bool:
    """Have LiveKit announce the participant, if it is in the room; answer whether it was."""
    room = ctx.job.room.name
    try:
        there = await ctx.api.room.list_participants(api.ListParticipantsRequest(room=room))
        for each in there.participants:
            wanted = each.identity == identity or (identity is None and each.kind in _API_KINDS)
            if wanted and each.state == api.ParticipantInfo.State.ACTIVE:
                await ctx.api.room.update_participant(
                    api.UpdateParticipantRequest(
                        room=room, identity=each.identity, attributes={SEEN: "1"}
                    )
                )
                return True
    except (api.TwirpError, aiohttp.ClientError, TimeoutError, ValueError) as error:
        # It will be announced all the same, a little later.
        logger.debug("LiveKit could not be asked", extra={"error": type(error).__name__})
        return True
    return False
