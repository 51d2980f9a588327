"""Makes LiveKit announce a participant who is in the room already, so that the job sees it at once.

LiveKit announces participants who publish at once, and all others every three seconds
(``subscriberUpdateInterval`` in its ``pkg/rtc/room.go``). A participant who only types would wait
that long for an agent that joined a moment earlier. A change of attributes is announced at once.
So, while the participant is not seen, the job looks for it by LiveKit's API, and sets an attribute
of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from livekit import api, rtc

from session_store.livekit.rooms.kinds import TALKING, TALKING_NAMES

if TYPE_CHECKING:
    from livekit.agents import JobContext

logger = logging.getLogger(__name__)

SEEN: Final = "rj.seen"
"""Attribute that is set on a participant to have it announced."""
LOOK_EVERY_S: Final = 0.15
LOOKS: Final = 20
"""By then LiveKit's own announcement has come. A participant who comes later finds the agent."""

KINDS: Final = [
    kind
    for name, kind in rtc.ParticipantKind.items()
    if name.removeprefix("PARTICIPANT_KIND_") in TALKING_NAMES
]


async def wait_for_participant(ctx: JobContext, identity: str | None) -> rtc.RemoteParticipant:
    """Wait for this participant, or for the first person to come if ``identity`` is ``None``."""
    seen = asyncio.create_task(ctx.wait_for_participant(identity=identity, kind=KINDS))
    try:
        for _ in range(LOOKS):
            done, _pending = await asyncio.wait({seen}, timeout=LOOK_EVERY_S)
            if done or await _announced(ctx, identity):
                break
        return await seen
    finally:
        seen.cancel()


async def _announced(ctx: JobContext, identity: str | None) -> bool:
    """Have the participant announced, if it is in the room; return whether to stop looking."""
    room = ctx.job.room.name
    try:
        listed = await ctx.api.room.list_participants(api.ListParticipantsRequest(room=room))
        found = next((info for info in listed.participants if _is_wanted(info, identity)), None)
        if found is None:
            return False
        request = api.UpdateParticipantRequest(
            room=room, identity=found.identity, attributes={SEEN: "1"}
        )
        await ctx.api.room.update_participant(request)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError, ValueError) as error:
        # LiveKit announces it nevertheless, a little later.
        extra = {"error": type(error).__name__}
        logger.debug("LiveKit did not answer: waiting for its own announcement", extra=extra)
    return True


def _is_wanted(info: api.ParticipantInfo, identity: str | None) -> bool:
    is_named = info.identity == identity or (identity is None and info.kind in TALKING)
    return is_named and info.state == api.ParticipantInfo.State.ACTIVE
