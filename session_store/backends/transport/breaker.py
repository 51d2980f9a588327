"""A circuit breaker: while a primary is unreachable, calls fail at once instead of waiting."""

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

_LONGEST_PAUSE: Final = 4
"""The longest pause between two probes, in units of the shortest."""


class CircuitHook(Protocol):
    """Is called when a circuit opens or closes. Must neither block nor raise."""

    def __call__(self, *, is_open: bool) -> None:
        """Note the change."""
        ...


class Breaker:
    """Open while a server is unreachable; a probe in the background closes it again.

    Args:
        where: the server's name, for the log.
        probe: asks the server; raises if it is still unreachable.
        pause_s: pause between two probes.
        on_change: called when the circuit opens and when it closes.
    """

    def __init__(
        self,
        where: str,
        probe: Callable[[], Awaitable[None]],
        *,
        pause_s: float,
        on_change: CircuitHook,
    ) -> None:
        self._where = where
        self._probe = probe
        self._pause_s = pause_s
        self._on_change = on_change
        self._probing: asyncio.Task[None] | None = None
        self.reason = ""
        """Why the circuit opened, or why the last probe failed."""

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._probing is not None and not self._probing.done()

    def trip(self, reason: str) -> None:
        """Open the circuit, because a call got no answer."""
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
                    return  # It answers with a refusal, which callers should get themselves.
                self.reason = str(translated)
                pauses = min(pauses + 1, _LONGEST_PAUSE)
            else:
                logger.info("Redis is back", extra={"where": self._where})
                return
