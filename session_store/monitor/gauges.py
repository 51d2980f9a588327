"""Reports the state of Redis and of the sweep to a meter, again and again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from session_store.backends.redis.backend import RedisBackend
from session_store.doctor import server
from session_store.errors import SessionStoreError
from session_store.monitor.deadlines import overdue_now
from session_store.tasks import Loop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.backends.contract import Backend
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

EVERY_S: Final = 20.0
WITHIN_S: Final = 5.0


class Gauges:
    """Looks at Redis in the background, from ``start`` to ``aclose``; of a store in Redis only.

    While Redis does not answer, the gauges keep their values. Its errors are counted elsewhere.
    """

    def __init__(self, backend: Backend, meter: Meter, *, every_s: float = EVERY_S) -> None:
        self._backend = backend
        self._meter = meter
        self._loop = Loop.every(every_s, self._try_to_look, name="gauges")

    def start(self) -> None:
        """Begin to look. A second start is a no-op."""
        if isinstance(self._backend, RedisBackend):
            self._loop.start()

    async def aclose(self) -> None:
        """Stop looking."""
        await self._loop.aclose()

    async def _try_to_look(self) -> None:
        if not isinstance(self._backend, RedisBackend):
            return
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._look(self._backend)
        except (SessionStoreError, RedisError, OSError) as error:
            logger.debug(
                "Redis did not answer: gauges keep their values",
                extra={"error": type(error).__name__},
            )

    async def _look(self, backend: RedisBackend) -> None:
        overdue = await overdue_now(backend)
        self._meter.sessions_stale(overdue.stale)
        self._meter.sweep_lag(overdue.oldest_s)
        nodes = backend.transport.topology.nodes()
        all_facts = await asyncio.gather(*(server.info_of(node, WITHIN_S) for node in nodes))
        self._meter.redis_memory(
            *fullest(
                (facts.number("used_memory"), facts.number("maxmemory")) for facts in all_facts
            )
        )


def fullest(primaries: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Choose bytes used and their bound (0 for none) of the fullest primary.

    If one primary is full, the sessions on it cannot be saved, however empty the others are.
    """
    return max(primaries, key=lambda sizes: (sizes[0] / sizes[1] if sizes[1] else -1.0, sizes[0]))
