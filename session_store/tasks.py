"""Background tasks, and how often they act: loops, backoff, rate limits.

A task is kept while it runs, its failure is logged, and it is awaited when it is stopped.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Final, Self

from session_store.errors import SessionStoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 1.0
"""A try is cheap: the store's circuit breaker answers at once while Redis is unreachable."""


async def stop(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait for their end. ``None`` is a task that was never begun."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


async def happens_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event, and return whether it came within ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def reason_of(error: BaseException) -> str:
    """Return why something failed, for a log. Other libraries' messages may hold content."""
    return str(error) if isinstance(error, SessionStoreError) else type(error).__name__


class Backoff:
    """Pauses between tries: each twice as long as the one before, up to the longest."""

    def __init__(
        self, first_s: float, longest_s: float, *, jitter: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        """Begin with the shortest pause.

        Args:
            first_s: the shortest pause.
            longest_s: no pause is longer, before jitter.
            jitter: each pause is multiplied by a random factor between these two.
        """
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._pause_s = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether there was a pause since the start, or since the last ``reset``."""
        return self._pause_s > 0

    def next_s(self) -> float:
        """Return the length of the next pause, in seconds."""
        self._pause_s = min(self._pause_s * 2 or self._first_s, self._longest_s)
        return self._pause_s * random.uniform(*self._jitter)  # noqa: S311 (no secret)

    async def pause(self) -> None:
        """Wait for the next pause."""
        await asyncio.sleep(self.next_s())

    def reset(self) -> None:
        """Begin again with the shortest pause."""
        self._pause_s = 0.0


class Outage:
    """Waits of a writer while the store is unreachable: logged once, longer each time."""

    def __init__(self, logger: logging.Logger, what: str, session_id: str) -> None:
        self._logger = logger
        self._fields = {"what": what, "session_id": session_id}
        self._backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)

    async def pause(self, error: BaseException, **counts: int) -> None:
        """Wait after a failure: 0.1 s at first, 1 s at most."""
        if not self._backoff.has_begun:
            extra = {**self._fields, **counts, "error": reason_of(error)}
            self._logger.warning("waiting for the store", extra=extra)
        await self._backoff.pause()

    def over(self, **counts: int) -> None:
        """Note a success."""
        if self._backoff.has_begun:
            self._backoff.reset()
            self._logger.info("the store is back", extra={**self._fields, **counts})


class RateLimit:
    """A token bucket: ``burst`` tokens at once, and ``per_s`` more each second."""

    __slots__ = ("_burst_s", "_each_s", "_full_at", "_now")

    def __init__(
        self,
        per_s: float,
        burst: float | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with a full bucket.

        Args:
            per_s: tokens that come back each second; more than 0.
            burst: tokens of a full bucket. By default as many as come back in a second, but one
                at least.
            now: the clock, in seconds; monotonic.
        """
        self._each_s = 1 / per_s
        self._burst_s = self._each_s * (max(1.0, per_s) if burst is None else burst)
        self._now = now
        self._full_at = now()

    @property
    def is_full(self) -> bool:
        """Whether no token is missing."""
        return self._full_at <= self._now()

    def take(self) -> float:
        """Take a token if there is one.

        Returns:
            0.0; or the seconds until there is a token, and then none is taken.
        """
        before = self._full_at
        wait_s = self.reserve()
        if wait_s:
            self._full_at = before
        return wait_s

    def reserve(self) -> float:
        """Take the next token, even if it is not there yet.

        Returns:
            The seconds until it is there; 0.0 if that is now.
        """
        now = self._now()
        self._full_at = max(self._full_at, now) + self._each_s
        wait_s = self._full_at - now - self._burst_s
        return wait_s if wait_s > _ROUNDING_S else 0.0


_ROUNDING_S: Final = 1e-6
"""A wait below this is an error of floating-point sums."""


class Loop:
    """Work in the background: started when it is needed, kept, stopped, awaited."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        """Prepare the work; ``start`` begins it.

        Args:
            work: runs until it is done, or is cancelled. Its failure is logged.
            name: of the task, for logs and for debugging.
        """
        self._work = work
        self._name = name
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def every(cls, pause_s: float, step: Callable[[], Awaitable[None]], *, name: str) -> Self:
        """Make a loop that repeats a step until it is stopped.

        A step that raises is logged, and the loop goes on: a loop that a defect has ended would
        be missed much later.

        Args:
            pause_s: from the end of one step to the start of the next.
            step: what is repeated.
            name: as in ``Loop``.
        """
        return cls(lambda: repeat(pause_s, step, name=name), name=name)

    @property
    def is_running(self) -> bool:
        """Whether the work was started and has not ended."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin the work, in a task of its own. A no-op while it runs."""
        if not self.is_running:
            self._task = asyncio.create_task(self._work(), name=self._name)
            self._task.add_done_callback(self._log_failure)

    async def aclose(self, *, within_s: float = 0.0) -> None:
        """Stop the work and wait for its end. It may be started again.

        Args:
            within_s: how long it may take to end by itself before it is cancelled.
        """
        task, self._task = self._task, None
        if task is not None and within_s:
            await asyncio.wait([task], timeout=within_s)
        await stop(task)

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("a background task failed", extra={"task": self._name}, exc_info=error)


async def repeat(pause_s: float, step: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Repeat a step until this is cancelled; see ``Loop.every``."""
    while True:
        try:
            await step()
        except Exception:
            _logger.exception("a background step failed; it runs again", extra={"task": name})
        await asyncio.sleep(pause_s)


class KeptTasks:
    """Tasks that are not awaited one by one: kept, as asyncio does not, and failures are logged."""

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
        """Wait for the end of all that still run."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Stop all that still run."""
        await stop(*self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("a background task failed", exc_info=error)
