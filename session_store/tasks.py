"""Background tasks: kept while they run, heard when they fail, awaited when they are stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from session_store.errors import SessionStoreError

if TYPE_CHECKING:
    import logging
    from collections.abc import Coroutine


FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 1.0
"""The store's circuit breaker answers at once while Redis is away, so that asking is cheap."""


async def stop(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait for their end. ``None`` is one that was never begun."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


async def happens_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event; answer whether it came within ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def reason_of(error: BaseException) -> str:
    """Say in a log why something failed: our own errors hold no content; of others, who knows."""
    return str(error) if isinstance(error, SessionStoreError) else type(error).__name__


class Outage:
    """What a writer does while the store is away: log it once, and wait longer each time."""

    def __init__(self, logger: logging.Logger, what: str, session_id: str) -> None:
        self._logger = logger
        self._fields = {"what": what, "session_id": session_id}
        self._pause_s = 0.0

    async def pause(self, error: BaseException, **counts: int) -> None:
        """Wait after a failure: 0.1 s at first, 1 s at most."""
        if not self._pause_s:
            extra = {**self._fields, **counts, "error": reason_of(error)}
            self._logger.warning("waiting for the store", extra=extra)
        self._pause_s = min(self._pause_s * 2 or FIRST_RETRY_S, LONGEST_RETRY_S)
        await asyncio.sleep(self._pause_s)

    def over(self, **counts: int) -> None:
        """Note a success."""
        if self._pause_s:
            self._pause_s = 0.0
            self._logger.info("the store is back", extra={**self._fields, **counts})


class KeptTasks:
    """Tasks that nobody awaits: kept, as asyncio itself does not, with their failures logged."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work in a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def wait(self) -> None:
        """Let all end that still run, failed ones too."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Stop all that still run."""
        await stop(*self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("a background task failed", exc_info=error)
