"""Acting on what the store answers about a session that may lack its agent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from session_store.backends.values import AgentPresence
from session_store.livekit.rooms.rooms import GAVE_UP
from session_store.meter import NO_METER

if TYPE_CHECKING:
    from session_store.backends.values import SessionRef
    from session_store.livekit.rooms.rooms import LiveKitRooms
    from session_store.livekit.worker.room_finder import SessionRoom
    from session_store.meter import DispatchReason, Meter
    from session_store.tasks import RateLimit

logger = logging.getLogger(__name__)


class Dispatcher:
    """Sends an agent where the store says that one is wanted."""

    def __init__(
        self,
        rooms: LiveKitRooms,
        *,
        rate_limit: RateLimit,
        expected_s: float,
        meter: Meter = NO_METER,
    ) -> None:
        """Make a dispatcher.

        Args:
            rooms: LiveKit's rooms.
            rate_limit: bounds how many agents are sent per second; the others wait.
            expected_s: how long an agent may take to come. A claim lasts as long.
            meter: counts each agent that is sent, and each conversation that is given up.
        """
        self._rooms = rooms
        self._meter = meter
        self.rate_limit: Final = rate_limit
        self.expected_s: Final = expected_s

    async def act_on(
        self,
        presence: AgentPresence,
        session: SessionRef,
        session_room: SessionRoom,
        reason: DispatchReason,
    ) -> None:
        """Send an agent if one is wanted; tell the page if none will come. Else do nothing."""
        extra = {"session_id": session.session_id, "why": reason}
        dispatch, occupants = session_room.dispatch, session_room.occupants
        if presence is AgentPresence.WANTED:
            logger.info("dispatching an agent", extra=extra)
            self._meter.dispatched(reason)
            # If no agent comes in spite of the retries, the sweep finds the session overdue.
            await self._rooms.bring(dispatch, occupants, within_s=self.expected_s)
        elif presence is AgentPresence.GAVE_UP:
            self._meter.gave_up()
            logger.error("agents of this session keep dying: pausing dispatches", extra=extra)
            await self._rooms.tell_people(dispatch.room, occupants, GAVE_UP)
            await self._rooms.clear(dispatch.room, occupants)
