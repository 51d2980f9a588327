"""Rooms and their agents: one room per session, and its first agent.

LiveKit gives a room its agent when the room is made; so the gateway makes the room, and
dispatches by itself, once, where the store says that nobody else does. What comes after that is
the workers' business: see ``session_store.livekit.worker.watch``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from gateway.errors import LiveKitUnavailable
from session_store import SessionStoreError
from session_store.livekit.rooms.rooms import Dispatch, LiveKitFailed, LiveKitRooms
from session_store.page_turns import LOAD_ID
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings import GatewaySettings
    from session_store import SessionStore, StoreSettings
    from session_store.meter import Meter

logger = logging.getLogger(__name__)


class Rooms:
    """LiveKit's rooms, as far as the gateway needs them. Use it as a context manager."""

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
        self._unclaimed: dict[str, float] = {}
        """By session, until when an agent is expected that was dispatched without a claim."""
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
        """Reach LiveKit with our key, or raise ``LiveKitUnavailable``."""
        with _as_unavailable():
            await self._rooms.reach()

    async def make(self, session_id: str) -> None:
        """Make the session's room; a no-op where it is there.

        Raises:
            LiveKitUnavailable: it did not answer.
        """
        with _as_unavailable():
            await self._rooms.make(
                session_id, departure_timeout_s=self._settings.gateway_departure_timeout_s
            )

    async def is_elsewhere(self, participant: str, session_id: str, load_id: str) -> bool:
        """Tell whether the participant is in the room by another page load than this.

        Raises:
            LiveKitUnavailable: it did not answer.
        """
        with _as_unavailable():
            there = await self._rooms.look(session_id, self._settings.livekit_agent_name)
        attributes = there.people.get(participant)
        return attributes is not None and attributes.get(LOAD_ID, "") != load_id

    def bring(self, participant: str, session_id: str) -> None:
        """Send the agent that the store said was wanted, in the background."""
        self._tasks.spawn(self._bring(participant, session_id))

    def bring_without_store(self, participant: str, session_id: str) -> None:
        """Send an agent to a room that has none, in the background, while the store is away.

        Nobody holds a claim then, so what LiveKit shows decides; and an agent that was sent from
        here a moment ago is waited for.
        """
        now = asyncio.get_running_loop().time()
        self._unclaimed = {room: at for room, at in self._unclaimed.items() if at > now}
        if session_id not in self._unclaimed:
            self._unclaimed[session_id] = now + self._expected_s
            admitted_at_ms = time.time_ns() // 1_000_000
            self._tasks.spawn(self._bring(participant, session_id, admitted_at_ms))

    async def give_back(self, participant: str, session_id: str) -> None:
        """Give back the claim to dispatch, as far as the store can be reached."""
        try:
            await self._store.give_back_claim(participant, session_id)
        except SessionStoreError as error:
            logger.warning("the claim runs out by itself", extra={"reason": str(error)})

    async def _bring(self, participant: str, session_id: str, admitted_at_ms: int = 0) -> None:
        """Send an agent, unless one is there that lives: it may only be cut off from the store."""
        extra = {"session_id": session_id}
        name = self._settings.livekit_agent_name
        dispatch = Dispatch.for_session(
            participant, session_id, name, admitted_at_ms=admitted_at_ms
        )
        try:
            there = await self._rooms.look(dispatch.room, dispatch.agent_name)
            if await self._rooms.any_answers(dispatch.room, there.agents):
                logger.info("an agent lives there, without the lease", extra=extra)
                return
        except LiveKitFailed as error:
            # The claim runs out, and a worker that watches sends one.
            logger.warning("an agent is not sent", extra={**extra, "reason": str(error)})
            self._unclaimed.pop(session_id, None)
            return
        logger.info("sending an agent", extra=extra)
        self._meter.dispatched("asked")
        await self._rooms.bring(dispatch, there, within_s=self._expected_s)


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except LiveKitFailed as error:
        logger.warning("LiveKit failed", extra={"reason": str(error)})
        raise LiveKitUnavailable from error
