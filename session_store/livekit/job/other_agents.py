"""Other agents in a job's own room, for a job that holds no lease.

While the store is unreachable, it cannot decide between two agents. Two gateways may have sent one
each, or a job may come back from a network that had swallowed it. So a job without a lease pings
the other agents in its room, and leaves in silence if one of them has the conversation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from livekit import rtc

from session_store.livekit.rooms.pings import COMING, HERE, PING, PING_S

if TYPE_CHECKING:
    from collections.abc import Iterable


async def is_another_here(room: rtc.Room) -> bool:
    """Return whether another agent has the conversation, or will begin it.

    Of two agents that are about to begin, the one with the identity that sorts first begins. An
    agent without a conversation (an avatar, say) answers no ping, and does not count.
    """
    mine = room.local_participant.identity
    others = [
        participant.identity
        for participant in room.remote_participants.values()
        if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    ]
    answers = await asyncio.gather(*(_ping(room, identity) for identity in others))
    return goes_first(zip(others, answers, strict=True), mine)


def goes_first(answers: Iterable[tuple[str, str]], mine: str) -> bool:
    """Return whether another agent goes first, by the identities and answers of the others."""
    return any(
        answer == HERE or (answer == COMING and identity < mine) for identity, answer in answers
    )


async def _ping(room: rtc.Room, identity: str) -> str:
    """Return an agent's answer; "" if it does not answer."""
    try:
        return await room.local_participant.perform_rpc(
            destination_identity=identity, method=PING, payload="", response_timeout=PING_S
        )
    except rtc.RpcError:
        return ""
