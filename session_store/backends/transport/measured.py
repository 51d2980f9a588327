"""How long scripts take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from session_store.errors import CircuitOpen

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from session_store.meter import Meter


async def measured(meter: Meter, name: str, answer: Awaitable[Any]) -> Any:
    """Wait for a script's answer, and tell how long that took; not where it was not even asked."""
    clock = asyncio.get_running_loop().time
    begun, was_asked = clock(), True
    try:
        return await answer
    except CircuitOpen:
        was_asked = False
        raise
    finally:
        if was_asked:
            meter.redis_called(name, clock() - begun)
