"""Acting on what the store says of a session without an agent: one caller sends one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from session_store.backends.values import AgentPresence
from session_store.livekit.rooms.rooms import GAVE_UP
from session_store.meter import NO_METER

if TYPE_CHECKING:
    from session_store.backends.values import SessionRef
    from session_store.livekit.rooms.rooms import LiveKitRooms
    from session_store.livekit.worker.rate import RateCap
    from session_store.livekit.worker.room_finder import Found
    from session_store.meter import DispatchReason, Meter

logger = logging.getLogger(__name__)


class Sender:
    """Sends agents to whom the store says that they are wanted."""

    def __init__(
        self,
        rooms: LiveKitRooms,
        *,
        cap: RateCap,
        expected_s: float,
        meter: Meter = NO_METER,
    ) -> None:
        """Make it.

        Args:
            rooms: where people and agents are.
            cap: how many agents are sent at most; the others wait.
            expected_s: how long an agent may take to come: so long a claim lasts.
            meter: hears of each agent that is sent, and of each conversation given up.
        """
        self._rooms = rooms
        self._meter = meter
        self.cap = cap
        self.expected_s = expected_s

    async def act_on(
        self, presence: AgentPresence, session: SessionRef, found: Found, why: DispatchReason
    ) -> None:
        """Send an agent, or tell the page that none will come; else somebody else cares."""
        extra = {"session_id": session.session_id, "why": why}
        if presence is AgentPresence.WANTED:
            logger.info("sending an agent", extra=extra)
            self._meter.dispatched(why)
            # If none comes for all that, it is overdue, and the sweep finds the session.
            await self._rooms.bring(found.dispatch, found.there, within_s=self.expected_s)
        elif presence is AgentPresence.GAVE_UP:
            self._meter.gave_up()
            logger.error("its agents die again and again; none is sent for a while", extra=extra)
            await self._rooms.tell_people(found.dispatch.room, found.there, GAVE_UP)
            await self._rooms.clear(found.dispatch.room, found.there)
