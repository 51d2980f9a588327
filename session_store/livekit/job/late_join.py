"""A join in the background, for a conversation that began while the store was unreachable."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from session_store.errors import (
    LeaseHeld,
    SealBroken,
    SessionStoreError,
    StoreRefused,
    StoreUnavailable,
    UnknownKey,
    UnknownSchema,
)
from session_store.livekit.job.lease_wait import LeaseWait
from session_store.livekit.job.resume_agent import recall
from session_store.livekit.telemetry.conversation_metrics import JOINED_AS, failed_as
from session_store.tasks import KeptTasks, Outage
from session_store.writing.offline_start import join_begun

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.livekit.job.conversation_parts import Parts
    from session_store.values import Joined
    from session_store.writing.offline_start import OfflineStart

logger = logging.getLogger(__name__)


class LateJoin:
    """Joins once the store is back, and gives the model what was said before."""

    def __init__(
        self,
        parts: Parts,
        *,
        on_joined: Callable[[Joined], None],
        on_lost: Callable[[SessionStoreError], None],
    ) -> None:
        """Make it; ``start`` begins to ask.

        Args:
            parts: of the conversation.
            on_joined: hears of the join, once the writers use its lease.
            on_lost: hears that the conversation cannot be joined any more.
        """
        self._parts = parts
        self._on_joined = on_joined
        self._on_lost = on_lost
        self._tasks = KeptTasks(logger)

    def start(self, offline_start: OfflineStart) -> None:
        """Begin to ask for the lease."""
        self._tasks.spawn(self._run(offline_start))

    async def aclose(self) -> None:
        """Stop asking."""
        await self._tasks.aclose()

    async def _run(self, offline_start: OfflineStart) -> None:
        setup = self._parts.setup
        try:
            joined = await self._join(offline_start)
        except SessionStoreError as error:
            setup.store.meter.joined(failed_as(error))
            if isinstance(error, SealBroken | UnknownKey | UnknownSchema):
                # Nothing about this participant can be saved, but it is here, and talks.
                extra = {"session_id": offline_start.session_id, "reason": str(error)}
                logger.error("this conversation cannot be saved", extra=extra)  # noqa: TRY400 (the trace tells nothing more)
                return
            self._on_lost(error)
            return
        setup.store.meter.joined(JOINED_AS[joined.outcome])
        before = self._parts.writers.adopt(joined)
        self._on_joined(joined)
        await recall(setup.agent_session, before, newest=setup.settings.model_turns)

    async def _join(self, offline_start: OfflineStart) -> Joined:
        """Ask for the lease until it is granted.

        A lease that was live when the store went away runs out by itself, if its holder is dead.

        Raises:
            LeaseHeld: another job still holds it; see ``LeaseWait``.
            SessionGone, SealBroken, UnknownKey: see ``join_begun``.
        """
        setup, entry = self._parts.setup, self._parts.entry
        outage = Outage(logger, "join", offline_start.session_id)
        wait = LeaseWait(setup.settings.lease_s)
        while True:
            try:
                joined = await join_begun(
                    setup.store,
                    offline_start,
                    load_id=entry.coming.load_id,
                    owner=entry.lease_owner,
                    room=entry.place.room,
                    came_ms=entry.coming.came_ms,
                )
            except LeaseHeld as held:
                await wait.pause(held)
            except (StoreUnavailable, StoreRefused) as error:
                wait.reset()
                await outage.pause(error)
            else:
                outage.over()
                return joined
