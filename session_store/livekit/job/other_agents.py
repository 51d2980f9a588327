"""Other agents in a job's own room, for a job that has no lease to show.

While the store is away nothing there decides between two agents: two gateways may have sent one
each, or a job may come back from a network that had swallowed it. So a job without a lease asks
whoever else is in its room, and leaves in silence where another one has the conversation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from livekit import rtc

from session_store.livekit.rooms.pings import COMING, HERE, PING, PING_S

if TYPE_CHECKING:
    from collections.abc import Iterable


async def is_another_here(room: rtc.Room) -> bool:
    """Tell whether another agent has the conversation, or is to begin it.

    Of two that are about to begin, the one whose identity sorts first does. An agent that has
    nothing to do with conversations (an avatar, say) answers no ping, and is no rival.
    """
    mine = room.local_participant.identity
    others = [
        each.identity
        for each in room.remote_participants.values()
        if each.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    ]
    answers = await asyncio.gather(*(_ask(room, each) for each in others))
    return goes_first(zip(others, answers, strict=True), mine)


def goes_first(answers: Iterable[tuple[str, str]], mine: str) -> bool:
    """Tell from identities and what they answered whether one of them goes first."""
    return any(
        answer == HERE or (answer == COMING and identity < mine) for identity, answer in answers
    )


async def _ask(room: rtc.Room, identity: str) -> str:
    """Return what an agent answers; "" where it does not."""
    try:
        return await room.local_participant.perform_rpc(
            destination_identity=identity, method=PING, payload="", response_timeout=PING_S
        )
    except rtc.RpcError:
        return ""
