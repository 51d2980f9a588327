"""Measures how much memory a worker takes, with the processes of its jobs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

from session_store.tasks import Loop

if TYPE_CHECKING:
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

EVERY_S: Final = 20.0


class MemoryGauge:
    """Measures in the background, from ``start`` to ``aclose``."""

    def __init__(self, meter: Meter, *, every_s: float = EVERY_S) -> None:
        self._meter = meter
        self._loop = Loop.every(every_s, self._measure, name="memory-gauge")

    def start(self) -> None:
        """Begin to measure. A second start is a no-op."""
        self._loop.start()

    async def aclose(self) -> None:
        """Stop measuring."""
        await self._loop.aclose()

    async def _measure(self) -> None:
        try:
            # In a thread: with many processes on the machine it takes a while.
            self._meter.worker_memory(await asyncio.to_thread(resident_bytes))
        except (psutil.Error, OSError) as error:
            extra = {"error": type(error).__name__}
            logger.debug("the worker's memory cannot be measured", extra=extra)


def resident_bytes() -> int:
    """Return the resident memory of this process and all its descendants.

    Pages that processes share count once for each of them.
    """
    me = psutil.Process()
    total = me.memory_info().rss
    for process in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
    return int(total)
