"""What every request handler works with: settings, store, rooms and rate limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.limits import CallerLimits
    from gateway.rooms import Rooms
    from gateway.settings import GatewaySettings
    from session_store import SessionStore


@dataclass(slots=True)
class Parts:
    """The parts of one gateway process, built at its start and shared by all requests."""

    settings: GatewaySettings
    store: SessionStore
    rooms: Rooms
    limits_by_participant: CallerLimits
    """Requests of each participant."""
    limits_by_address: CallerLimits
    """Requests from each network address."""
    keys_checked: bool = False

    async def check_keys(self) -> None:
        """Compare our keys with those of Redis, once.

        With other keys, every participant would get another pseudonym and look new.

        Raises:
            WrongKey: Redis was written with other keys.
            StoreUnavailable, StoreRefused: Redis was not reached; the next call checks again.
        """
        if not self.keys_checked:
            await self.store.check()
            self.keys_checked = True
