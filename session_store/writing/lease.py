"""Renewal of a lease: the right to write a session.

A job that stalled may believe that it still holds its lease. That does no harm: every write
compares the fencing token, and a successor's token is higher.
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
    """The part of a store that a ``LeaseKeeper`` needs."""

    async def renew(self, lease: Lease | LeaseRef) -> None:
        """Extend the lease, or raise."""
        ...


class LeaseKeeper:
    """Renews a lease until it is closed or the lease is lost.

    While the store is unreachable it keeps trying: a lease that ran out can still be renewed if no
    other job took it.
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
        """Whether the last renewal failed."""

    def start(self) -> None:
        """Begin to renew. A second start is a no-op."""
        self._loop.start()

    async def aclose(self) -> None:
        """Stop renewing. The lease stays until it runs out or is released."""
        await self._loop.aclose()

    async def _keep(self) -> None:
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                # A call that hangs must leave time for another one before the lease runs out.
                async with asyncio.timeout(self._every_s):
                    await self._store.renew(self._lease)
            except (LeaseLost, SessionGone) as error:
                self._on_lost(error)
                return
            except Exception as error:  # noqa: BLE001 (after any failure the lease must be kept)
                self._note(is_away=True, error=reason_of(error))
                pause_s = min(RETRY_S, self._every_s)
            else:
                self._note(is_away=False)
                pause_s = self._every_s

    def _note(self, *, is_away: bool, error: str | None = None) -> None:
        """Log once when renewals begin to fail, and once when they succeed again."""
        if is_away is self.is_away:
            return
        self.is_away = is_away
        extra = {"session_id": self._lease.session_id, "error": error}
        if is_away:
            logger.warning("the lease cannot be renewed; trying again", extra=extra)
        else:
            logger.info("the lease is renewed again", extra=extra)
