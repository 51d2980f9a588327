"""Waiting for a lease that another job holds: until it is given back, or runs out.

The holder may be a job whose room has just closed. LiveKit tells it so about two seconds later, and
only then does it give its lease back, while the participant waits in a new room of the same name.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from session_store.errors import LeaseHeld

MOST_LEASES: Final = 2
"""A dead holder's lease runs out within one lease. A holder that keeps it for longer is alive."""
ASK_EVERY_S: Final = 0.2
"""A holder may give its lease back long before it runs out."""
_MARGIN_S: Final = 0.01
"""The store's clock is in milliseconds; asking just too early would cost another round."""


class LeaseWait:
    """Bounds how long a job waits for one lease."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._held_since: float | None = None

    async def pause(self, held: LeaseHeld) -> None:
        """Wait until the lease that was just found held may be free: ``ASK_EVERY_S`` at most.

        Raises:
            LeaseHeld: it has been held for ``MOST_LEASES`` leases.
        """
        now, wait_s = asyncio.get_running_loop().time(), held.wait_ms / 1000 + _MARGIN_S
        if held.has_moved:
            # The wait for a dead holder begins after that.
            self._held_since = now + wait_s
        elif self._held_since is None:
            self._held_since = now
        if now - self._held_since > MOST_LEASES * self._lease_s:
            raise held
        await asyncio.sleep(min(wait_s, ASK_EVERY_S))

    def reset(self) -> None:
        """Begin to count anew: while the store was away, no holder could renew its lease."""
        self._held_since = None
