"""Tells a meter how much memory a worker takes, with the processes of its jobs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

from session_store.tasks import stop

if TYPE_CHECKING:
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

EVERY_S: Final = 20.0


class MemoryGauge:
    """Looks in the background, from ``start`` to ``aclose``."""

    def __init__(self, meter: Meter, *, every_s: float = EVERY_S) -> None:
        self._meter = meter
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look. A second start is a no-op."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="memory-gauge")

    async def aclose(self) -> None:
        """Stop looking."""
        await stop(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            try:
                # In a thread: with many processes on the machine it takes a while.
                self._meter.worker_memory(await asyncio.to_thread(resident_bytes))
            except (psutil.Error, OSError) as error:
                logger.debug("memory is not known", extra={"error": type(error).__name__})
            await asyncio.sleep(self._every_s)


def resident_bytes() -> int:
    """Return what this process and all that it has started are resident in.

    Pages that they share count for each of them.
    """
    me = psutil.Process()
    total = me.memory_info().rss
    for process in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
    return int(total)
