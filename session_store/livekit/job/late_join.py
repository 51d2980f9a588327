"""Joining behind the conversation's back, where the store was away when it began."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from session_store.errors import LeaseHeld, StoreRefused, StoreUnavailable
from session_store.tasks import Outage
from session_store.writing.offline_start import join_begun

if TYPE_CHECKING:
    from session_store.store import SessionStore
    from session_store.values import Joined
    from session_store.writing.offline_start import OfflineStart

logger = logging.getLogger(__name__)


async def join_when_back(
    store: SessionStore, beginning: OfflineStart, *, load_id: str, owner: str, lease_s: float
) -> Joined:
    """Ask for the lease until it is granted.

    A lease that was live when the store went away runs out by itself, if its holder is dead.

    Raises:
        LeaseHeld: after twice ``lease_s`` somebody still holds it, who is alive then.
        SessionGone, SealBroken, UnknownKey: see ``join_begun``.
    """
    loop = asyncio.get_running_loop()
    outage = Outage(logger, "join", beginning.session_id)
    held_since: float | None = None
    while True:
        try:
            joined = await join_begun(store, beginning, load_id=load_id, owner=owner)
        except LeaseHeld as held:
            held_since = held_since or loop.time()
            if loop.time() - held_since > 2 * lease_s:
                raise
            await asyncio.sleep(min(held.wait_ms / 1000 + 0.01, lease_s))
        except (StoreUnavailable, StoreRefused) as error:
            held_since = None
            await outage.pause(error)
        else:
            outage.over()
            return joined
