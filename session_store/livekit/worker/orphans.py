"""What the sweep finds, each seen to in a task of its own, and once at a time."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from session_store.keys import LATE_PART
from session_store.tasks import KeptTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from session_store.backends.values import SessionRef
    from session_store.livekit.worker.takeover import Takeover

logger = logging.getLogger(__name__)


class Orphans:
    """Sees to sessions that may lack their agent, each in a task of its own."""

    def __init__(self, takeover: Takeover, lease_s: float) -> None:
        self._takeover = takeover
        self._lease_s = lease_s
        self._seen_to: set[SessionRef] = set()
        self._tasks = KeptTasks(logger)

    def see_to(self, session: SessionRef) -> None:
        """Begin to see to a session whose lease ran out. One that is seen to is left at that."""
        self._begin(session, partial(self._takeover.relieve, lease_ran_out=True))

    def see_to_overdue(self, session: SessionRef) -> None:
        """Begin to see to a session that nobody holds a lease of; the same."""
        self._begin(session, partial(self._takeover.relieve, lease_ran_out=False))

    def be_ready_for(self, session: SessionRef) -> None:
        """Begin to see to a session whose lease is about to run out; the same."""
        within_s = self._lease_s * LATE_PART
        self._begin(session, partial(self._takeover.be_ready, within_s=within_s))

    async def aclose(self) -> None:
        """Stop."""
        await self._tasks.aclose()

    def _begin(
        self, session: SessionRef, see_to: Callable[[SessionRef], Coroutine[Any, Any, None]]
    ) -> None:
        if session not in self._seen_to:
            self._seen_to.add(session)
            task = self._tasks.spawn(see_to(session))
            task.add_done_callback(lambda _: self._seen_to.discard(session))
