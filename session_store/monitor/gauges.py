"""Tells a meter again and again how Redis and the sweep are doing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from session_store.backends.redis.backend import RedisBackend
from session_store.doctor import server
from session_store.errors import SessionStoreError
from session_store.monitor.deadlines import overdue_now
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.backends.contract import Backend
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

EVERY_S: Final = 20.0
WITHIN_S: Final = 5.0


class Gauges:
    """Looks in the background, from ``start`` to ``aclose``; of a store in Redis only.

    While Redis does not answer, the gauges stay as they were: its errors are counted elsewhere.
    """

    def __init__(self, backend: Backend, meter: Meter, *, every_s: float = EVERY_S) -> None:
        self._backend = backend
        self._meter = meter
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look. A second start is a no-op."""
        if self._task is None and isinstance(self._backend, RedisBackend):
            self._task = asyncio.create_task(self._run(self._backend), name="gauges")

    async def aclose(self) -> None:
        """Stop looking."""
        await stop(self._task)
        self._task = None

    async def _run(self, backend: RedisBackend) -> None:
        while True:
            try:
                async with asyncio.timeout(WITHIN_S):
                    await self._look(backend)
            except (SessionStoreError, RedisError, OSError) as error:
                logger.debug("gauges stay as they were", extra={"error": type(error).__name__})
            except Exception:
                # One that a defect has ended would show old figures for ever.
                logger.exception("a look at Redis failed; the next one goes on")
            await asyncio.sleep(self._every_s)

    async def _look(self, backend: RedisBackend) -> None:
        overdue = await overdue_now(backend.transport)
        self._meter.sessions_stale(overdue.stale)
        self._meter.sweep_lag(overdue.oldest_s)
        nodes = backend.transport.topology.nodes()
        all_facts = await asyncio.gather(*(server.info_of(node, WITHIN_S) for node in nodes))
        self._meter.redis_memory(
            *fullest((each.number("used_memory"), each.number("maxmemory")) for each in all_facts)
        )


def fullest(primaries: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Choose, of bytes used and their bound (0 for none), those of the fullest primary.

    Where one is full, those whose keys are there cannot be saved, however empty the others are.
    """
    return max(primaries, key=lambda each: (each[0] / each[1] if each[1] else -1.0, each[0]))
