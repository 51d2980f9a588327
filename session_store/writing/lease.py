"""The right to write a session, and what keeps it.

A job that stalls and wakes may believe that it still holds its lease. That does no harm: the
fencing token is compared inside every write, and a successor's is higher.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from session_store.errors import LeaseLost, SessionGone, SessionStoreError
from session_store.tasks import Loop, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.backends.values import LeaseRef
    from session_store.values import Lease

logger = logging.getLogger(__name__)

RETRY_S: Final = 0.1


class Renews(Protocol):
    """What a ``LeaseKeeper`` needs of a store."""

    async def renew(self, lease: Lease | LeaseRef) -> None:
        """Extend the lease, or raise."""
        ...


class LeaseKeeper:
    """Renews a lease until it is stopped or lost.

    While the store is away it keeps trying: a lease that ran out is good again as long as
    nobody took it.
    """

    def __init__(
        self,
        store: Renews,
        lease: Lease | LeaseRef,
        *,
        every_s: float,
        on_lost: Callable[[SessionStoreError], None],
    ) -> None:
        self._store = store
        self._lease = lease
        self._every_s = every_s
        self._on_lost = on_lost
        self._loop = Loop(self._keep, name="lease-keeper")
        self.is_away = False
        """Whether the lease could not be renewed when that was tried last."""

    def start(self) -> None:
        """Begin renewing. Starting twice is a no-op."""
        self._loop.start()

    async def aclose(self) -> None:
        """Stop renewing; the lease stays until it runs out or is released."""
        await self._loop.aclose()

    async def _keep(self) -> None:
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                # A call that hangs must leave time for another before the lease has run out.
                async with asyncio.timeout(self._every_s):
                    await self._store.renew(self._lease)
            except (LeaseLost, SessionGone) as error:
                self._on_lost(error)
                return
            except Exception as error:  # noqa: BLE001 (whatever it is, the lease must be kept)
                self._note(is_away=True, error=reason_of(error))
                pause_s = min(RETRY_S, self._every_s)
            else:
                self._note(is_away=False)
                pause_s = self._every_s

    def _note(self, *, is_away: bool, error: str | None = None) -> None:
        """Log it once when renewing begins to fail, and once when that is over."""
        if is_away is self.is_away:
            return
        self.is_away = is_away
        extra = {"session_id": self._lease.session_id, "error": error}
        if is_away:
            logger.warning("the lease cannot be renewed; trying again", extra=extra)
        else:
            logger.info("the lease is renewed again", extra=extra)
