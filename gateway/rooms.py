"""Rooms of sessions, and the first agent of each.

LiveKit can only dispatch an agent on its own when it makes a room. So the gateway makes the room,
and dispatches the first agent itself if the store grants it the claim. Workers dispatch all
successors: see ``session_store.livekit.worker.watch``.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from gateway.errors import LiveKitUnavailable
from session_store import SessionStoreError
from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.dispatch import Dispatch
from session_store.livekit.rooms.recent_dispatches import RecentDispatches
from session_store.livekit.rooms.rooms import LiveKitRooms
from session_store.page_turns import LOAD_ID
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings import GatewaySettings
    from session_store import SessionStore, StoreSettings
    from session_store.meter import Meter

logger = logging.getLogger(__name__)


class Rooms:
    """LiveKit's rooms, as the gateway uses them. An asynchronous context manager."""

    def __init__(
        self,
        settings: GatewaySettings,
        store: SessionStore,
        store_settings: StoreSettings,
        *,
        meter: Meter,
    ) -> None:
        self._settings = settings
        self._store = store
        self._expected_s = store_settings.agent_expected_s
        self._rooms = LiveKitRooms(
            settings.livekit_url,
            settings.livekit_api_key,
            settings.livekit_api_secret,
            meter=meter,
        )
        self._meter = meter
        self._unclaimed = RecentDispatches()
        self._tasks = KeptTasks(logger)

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        await self._rooms.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop dispatching, and close the connection pool."""
        await self._tasks.aclose()
        await self._rooms.__aexit__(*exc)

    async def ping(self) -> None:
        """Reach LiveKit with our key.

        Raises:
            LiveKitUnavailable: it did not answer, or it refused.
        """
        with _as_unavailable():
            await self._rooms.reach()

    async def make(self, session_id: str) -> None:
        """Make the session's room. A no-op if it exists.

        Raises:
            LiveKitUnavailable: LiveKit did not answer, or it refused.
        """
        with _as_unavailable():
            await self._rooms.make(
                session_id, departure_timeout_s=self._settings.gateway_departure_timeout_s
            )

    async def is_elsewhere(self, participant: str, session_id: str, load_id: str) -> bool:
        """Return whether another page load of the participant is in the room.

        Raises:
            LiveKitUnavailable: LiveKit did not answer, or it refused.
        """
        with _as_unavailable():
            there = await self._rooms.look(session_id, self._settings.livekit_agent_name)
        attributes = there.people.get(participant)
        return attributes is not None and attributes.get(LOAD_ID, "") != load_id

    def bring(self, participant: str, session_id: str) -> None:
        """Dispatch an agent in the background, under the claim that the store granted."""
        self._tasks.spawn(self._bring(participant, session_id))

    def bring_without_store(self, participant: str, session_id: str) -> None:
        """Dispatch an agent in the background while the store is unreachable.

        Without the store there are no claims. So LiveKit decides: an agent is dispatched only if
        the room has none that answers, and if this gateway did not dispatch one a moment ago.
        """
        if session_id not in self._unclaimed:
            self._unclaimed.add(session_id, for_s=self._expected_s)
            admitted_at_ms = time.time_ns() // 1_000_000
            self._tasks.spawn(self._bring(participant, session_id, admitted_at_ms))

    async def give_back(self, participant: str, session_id: str) -> None:
        """Return the claim to dispatch. If that fails, the claim expires by itself."""
        try:
            await self._store.give_back_claim(participant, session_id)
        except SessionStoreError as error:
            logger.warning(
                "the claim was not returned: it expires by itself", extra={"reason": str(error)}
            )

    async def _bring(self, participant: str, session_id: str, admitted_at_ms: int = 0) -> None:
        """Dispatch an agent, unless one in the room answers: it may just lack the store."""
        extra = {"session_id": session_id}
        name = self._settings.livekit_agent_name
        dispatch = Dispatch.for_session(
            participant, session_id, name, admitted_at_ms=admitted_at_ms
        )
        try:
            there = await self._rooms.look(dispatch.room, dispatch.agent_name)
            if await self._rooms.any_answers(dispatch.room, there.agents):
                logger.info(
                    "an agent in the room answers, without a lease: dispatching none", extra=extra
                )
                return
        except LiveKitFailed as error:
            # The claim expires, and a watcher dispatches an agent.
            logger.warning(
                "LiveKit failed: no agent is dispatched", extra={**extra, "reason": str(error)}
            )
            self._unclaimed.discard(session_id)
            return
        logger.info("dispatching an agent", extra=extra)
        self._meter.dispatched("asked")
        await self._rooms.bring(
            dispatch, there, within_s=self._expected_s, is_first=not there.agents
        )


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except LiveKitFailed as error:
        logger.warning("LiveKit failed", extra={"reason": str(error)})
        raise LiveKitUnavailable from error
