"""Rooms and their agents: one room per session, one agent in it.

LiveKit gives a room its agent when the room is made, and loses dispatches in silence; so the
gateway makes the room, dispatches by itself, and looks again until a job holds the lease. Which
of several callers dispatches is decided in the store.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from livekit import api

from gateway.errors import LiveKitUnavailable
from session_store import AgentPresence, SessionStoreError
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.settings import GatewaySettings
    from session_store import SessionStore, StoreSettings

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
_LIVEKIT_ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError, api.TwirpError)


class Rooms:
    """LiveKit's rooms, as far as the gateway needs them. Use it as a context manager."""

    def __init__(
        self, settings: GatewaySettings, store: SessionStore, store_settings: StoreSettings
    ) -> None:
        self._settings = settings
        self._store = store
        self._lease_s = store_settings.lease_s
        self._expected_s = store_settings.agent_expected_s
        self._livekit: api.LiveKitAPI | None = None
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._tasks = KeptTasks(logger)

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._livekit = api.LiveKitAPI(
            self._settings.livekit_url,
            self._settings.livekit_api_key,
            self._settings.livekit_api_secret,
            timeout=aiohttp.ClientTimeout(total=5),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop watching, and close the connection pool."""
        await self._tasks.aclose()
        if self._livekit is not None:
            await self._livekit.aclose()

    @property
    def livekit(self) -> api.LiveKitAPI:
        """The API client, once entered."""
        if self._livekit is None:
            raise RuntimeError("use Rooms as a context manager")
        return self._livekit

    async def ping(self) -> None:
        """Reach LiveKit with our key, or raise ``LiveKitUnavailable``."""
        await self._ask(self.livekit.room.list_rooms(api.ListRoomsRequest(names=["-"])))

    async def make(self, session_id: str) -> None:
        """Make the session's room; a no-op where it is there.

        Raises:
            LiveKitUnavailable: it did not answer.
        """
        request = api.CreateRoomRequest(
            name=session_id,
            empty_timeout=self._settings.gateway_departure_timeout_s,
            departure_timeout=self._settings.gateway_departure_timeout_s,
        )
        await self._ask(self.livekit.room.create_room(request))

    def look_after(self, participant: str, session_id: str, agent: AgentPresence) -> None:
        """See to it that the session gets its one agent, in the background.

        Every call looks anew, for as long as a dead job's lease could last: a look that began
        before the job died would end too early.
        """
        before = self._watches.pop(session_id, None)
        if before is not None:
            before.cancel()
        watch = self._tasks.spawn(self._watch(participant, session_id, agent))
        self._watches[session_id] = watch
        watch.add_done_callback(lambda done: self._forget(session_id, done))

    async def give_back(self, participant: str, session_id: str) -> None:
        """Give back the claim to dispatch, as far as the store can be reached."""
        try:
            await self._store.give_back_claim(participant, session_id)
        except SessionStoreError as error:
            logger.warning("the claim runs out by itself", extra={"reason": str(error)})

    async def _watch(self, participant: str, session_id: str, agent: AgentPresence) -> None:
        """Dispatch when the store says so, until a lease outlived what a dead job would have."""
        tries = 0
        seen_at = None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.gateway_agent_tries * self._expected_s
        while loop.time() < deadline:
            if agent is AgentPresence.WANTED:
                tries += 1
                seen_at = None
                # Not part of this look, which may be cut short by the next one.
                self._tasks.spawn(self._dispatch(participant, session_id, again=tries > 1))
            elif agent is AgentPresence.PRESENT:
                # The lease may be that of a job that has just died.
                seen_at = seen_at or loop.time()
                if loop.time() - seen_at > 2.5 * self._lease_s:
                    return
            elif agent in {AgentPresence.ENDED, AgentPresence.GONE}:
                return
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                agent = await self._store.expect_agent(participant, session_id)
            except SessionStoreError as error:
                logger.warning("the store failed", extra={"reason": str(error)})
                agent = AgentPresence.EXPECTED
        logger.error(
            "no agent came; is a worker running?",
            extra={"session_id": session_id, "dispatches": tries},
        )

    async def _dispatch(self, participant: str, session_id: str, *, again: bool) -> None:
        """Dispatch an agent; first remove one that lost its lease and would still be heard."""
        try:
            await self._remove_agents(session_id)
            request = api.CreateAgentDispatchRequest(
                agent_name=self._settings.livekit_agent_name,
                room=session_id,
                metadata=json.dumps({"participant": participant, "session_id": session_id}),
            )
            await self._ask(self.livekit.agent_dispatch.create_dispatch(request))
        except LiveKitUnavailable:
            logger.warning("an agent could not be dispatched", extra={"session_id": session_id})
            await self.give_back(participant, session_id)
            return
        logger.info("agent dispatched", extra={"session_id": session_id, "again": again})

    async def _remove_agents(self, session_id: str) -> None:
        room = api.ListParticipantsRequest(room=session_id)
        there = await self._ask(self.livekit.room.list_participants(room))
        for each in there.participants:
            if each.kind == api.ParticipantInfo.Kind.AGENT:
                await self._remove(session_id, each.identity)

    async def _remove(self, session_id: str, identity: str) -> None:
        ghost = api.RoomParticipantIdentity(room=session_id, identity=identity)
        try:
            await self._ask(self.livekit.room.remove_participant(ghost))
        except LiveKitUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, api.TwirpError) or cause.code != api.TwirpErrorCode.NOT_FOUND:
                raise  # One that has just left by itself is what was wanted.

    def _forget(self, session_id: str, watch: asyncio.Task[None]) -> None:
        if self._watches.get(session_id) is watch:
            del self._watches[session_id]

    async def _ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await call
        except _LIVEKIT_ERRORS as error:
            # The text may name the room, never a person.
            logger.warning("LiveKit failed", extra={"reason": f"{type(error).__name__}: {error}"})
            raise LiveKitUnavailable from error
