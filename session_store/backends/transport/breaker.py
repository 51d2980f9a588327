"""A circuit breaker: while a primary is away, calls fail at once instead of waiting for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from redis.exceptions import RedisError

from session_store.backends.transport.refusals import error_of
from session_store.errors import SessionStoreError, StoreUnavailable
from session_store.tasks import stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

_SLOWEST: Final = 4
"""How many times its pause a probe waits at most, after many that failed."""


class OnChange(Protocol):
    """Hears of a circuit."""

    def __call__(self, *, is_open: bool) -> None:
        """Take note."""
        ...


class Breaker:
    """Open while the other side is away; a probe in the background closes it again.

    Args:
        where: who is asked, for the log.
        probe: asks it; raises where it is still away.
        pause_s: between two probes.
        on_change: hears when it opens, and when it closes again. Must neither block nor raise.
    """

    def __init__(
        self,
        where: str,
        probe: Callable[[], Awaitable[None]],
        *,
        pause_s: float,
        on_change: OnChange,
    ) -> None:
        self._where = where
        self._probe = probe
        self._pause_s = pause_s
        self._on_change = on_change
        self._probing: asyncio.Task[None] | None = None
        self.reason = ""
        """Why it opened last."""

    @property
    def is_open(self) -> bool:
        """Whether calls are to fail at once."""
        return self._probing is not None and not self._probing.done()

    def trip(self, reason: str) -> None:
        """Note that a call got no answer."""
        if not self.is_open:
            self.reason = reason
            logger.warning("Redis is away; it is tried again", extra={"where": self._where})
            self._probing = asyncio.create_task(self._until_it_answers(), name="redis-probe")
            self._probing.add_done_callback(lambda _: self._on_change(is_open=False))
            self._on_change(is_open=True)

    async def aclose(self) -> None:
        """Stop probing."""
        await stop(self._probing)

    async def _until_it_answers(self) -> None:
        pauses = 1
        while True:
            await asyncio.sleep(self._pause_s * pauses)
            try:
                await self._probe()
            except (SessionStoreError, RedisError, OSError) as error:
                translated = error_of(error, self._where)
                if not isinstance(translated, StoreUnavailable):
                    return  # It answers, and refuses: callers hear that better from itself.
                self.reason = str(translated)
                pauses = min(pauses + 1, _SLOWEST)
            else:
                logger.info("Redis is back", extra={"where": self._where})
                return
