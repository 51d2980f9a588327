"""Waiting for a lease that another job holds: until it runs out, if that job is dead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from session_store.errors import LeaseHeld

MOST_LEASES: Final = 2
"""A dead holder's lease runs out within one lease. A holder that keeps it for longer is alive."""
_MARGIN_S: Final = 0.01
"""The store's clock is in milliseconds; asking just too early would cost another round."""


class LeaseWait:
    """Bounds how long a job waits for one lease."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._held_since: float | None = None

    async def pause(self, held: LeaseHeld) -> None:
        """Wait until the lease that was just found held may have run out.

        Raises:
            LeaseHeld: it has been held for ``MOST_LEASES`` leases.
        """
        now, wait_s = asyncio.get_running_loop().time(), held.wait_ms / 1000 + _MARGIN_S
        if held.has_moved:
            # The wait for a dead holder begins after that.
            self._held_since = now + wait_s
            await asyncio.sleep(wait_s)
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since > MOST_LEASES * self._lease_s:
            raise held
        await asyncio.sleep(min(wait_s, self._lease_s))

    def reset(self) -> None:
        """Begin to count anew: while the store was away, no holder could renew its lease."""
        self._held_since = None
