"""For how long the store has answered without a break: who was away himself must not judge others.

A lease that ran out may mean that its holder died. It may also mean that the store stalled, in
which case every lease has run out, or that this very process was stopped. So a watcher acts on a
lost lease only after it was in contact itself for longer than a lease lasts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from session_store.tasks import reason_of, stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

ASKS_PER_GAP: Final = 4
"""How often is asked within the longest gap that is no break."""


def now_s() -> float:
    """Return a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Contact:
    """Contact lasts while answers come at most ``longest_gap_s`` apart.

    That one rule covers a call that takes long or does not come back, and a process or machine
    that was stopped: in all of them nothing was heard for a while.
    """

    def __init__(self, longest_gap_s: float, *, now: Callable[[], float] = now_s) -> None:
        self._longest_gap_s = longest_gap_s
        self._now = now
        self._since: float | None = None
        self._heard_at = 0.0

    @property
    def lasts_s(self) -> float:
        """For how long there has been contact; 0.0 where there is none now."""
        now = self._now()
        if self._since is None or now - self._heard_at > self._longest_gap_s:
            return 0.0
        return now - self._since

    def heard(self) -> None:
        """Note an answer."""
        now = self._now()
        if self._since is None or now - self._heard_at > self._longest_gap_s:
            self._since = now
        self._heard_at = now

    def lost(self) -> None:
        """Note a failure."""
        self._since = None


class ContactKeeper:
    """Asks again and again, and notes in ``contact`` what it hears."""

    def __init__(
        self, whom: str, ask: Callable[[], Awaitable[None]], *, longest_gap_s: float
    ) -> None:
        """Make it.

        Args:
            whom: who is asked, for the log.
            ask: reaches all of it, or raises.
            longest_gap_s: between answers, before contact counts as broken.
        """
        self.contact: Final = Contact(longest_gap_s)
        self._whom = whom
        self._ask = ask
        self._longest_gap_s = longest_gap_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin asking. Starting twice is a no-op."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_asking(), name="contact-keeper")

    async def aclose(self) -> None:
        """Stop asking."""
        await stop(self._task)

    async def _keep_asking(self) -> None:
        is_away = False
        while True:
            try:
                async with asyncio.timeout(self._longest_gap_s):
                    await self._ask()
            except Exception as error:  # noqa: BLE001 (without it nobody would be watched over)
                self.contact.lost()
                if not is_away:
                    extra = {"whom": self._whom, "reason": reason_of(error)}
                    logger.warning("the watch has lost contact", extra=extra)
                is_away = True
            else:
                self.contact.heard()
                if is_away:
                    logger.info("the watch has contact again", extra={"whom": self._whom})
                is_away = False
            await asyncio.sleep(self._longest_gap_s / ASKS_PER_GAP)
