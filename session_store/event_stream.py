"""The events of a store as an endless stream: what ``SessionStore.events()`` returns."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from session_store.events import Event, EventsMissed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from session_store.backends.contract import SideChannel

_MISSED = EventsMissed()


async def read_events(side: SideChannel) -> AsyncGenerator[Event | EventsMissed, None]:
    """Yield the events of all processes from now on, until the iterator is closed.

    ``EventsMissed`` comes first, once the stream listens. Read the store then, follow the events
    from there, and you miss nothing. It comes again wherever events may have been missed: after a
    lost connection, or if the reader was too slow. Events with an unknown version or type are left
    out.

    Raises:
        StoreRefused: Redis does not let this user listen. Later losses only cause a reconnect.
    """
    async with aclosing(side.listen()) as payloads:
        async for payload in payloads:
            if payload is None:
                yield _MISSED
            elif (event := Event.parse(payload)) is not None:
                yield event
