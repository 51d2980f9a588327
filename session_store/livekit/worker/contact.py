"""For how long the store or LiveKit has answered this process without a break.

A lease that ran out may mean that its holder died. It may also mean that the store stalled, and
then every lease has run out; or that this very process was stopped. A watcher that was itself cut
off must not declare others dead. So it acts on a lost lease only after it was in contact for longer
than a lease lasts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from session_store.tasks import Loop, reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

ASKS_PER_GAP: Final = 4
"""How many pings are sent within the longest gap that does not break contact."""


def now_s() -> float:
    """Return a clock that goes on while the machine sleeps, if there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Contact:
    """Contact lasts while answers come at most ``longest_gap_s`` apart.

    This one rule covers a slow call, a call that never returns, and a process or machine that was
    stopped: in each case no answer came for a while.
    """

    def __init__(self, longest_gap_s: float, *, now: Callable[[], float] = now_s) -> None:
        self._longest_gap_s = longest_gap_s
        self._now = now
        self._since: float | None = None
        self._heard_at = 0.0

    @property
    def lasts_s(self) -> float:
        """How long contact has lasted, in seconds; 0.0 if there is none now."""
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
    """Pings again and again, and notes the answers in ``contact``."""

    def __init__(
        self, target: str, ping: Callable[[], Awaitable[None]], *, longest_gap_s: float
    ) -> None:
        """Make a keeper.

        Args:
            target: the name of what is pinged, for the log.
            ping: returns once all of it has answered, or raises.
            longest_gap_s: between answers, before contact counts as broken.
        """
        self.contact: Final = Contact(longest_gap_s)
        self._target = target
        self._ping = ping
        self._longest_gap_s = longest_gap_s
        self._is_away = False
        pause_s = longest_gap_s / ASKS_PER_GAP
        self._loop = Loop.every(pause_s, self._ping_once, name="contact-keeper")

    def start(self) -> None:
        """Begin to ping. A second start is a no-op."""
        self._loop.start()

    async def aclose(self) -> None:
        """Stop pinging."""
        await self._loop.aclose()

    async def _ping_once(self) -> None:
        try:
            async with asyncio.timeout(self._longest_gap_s):
                await self._ping()
        except Exception as error:  # noqa: BLE001 (any failure breaks contact)
            self._note_loss(error)
        else:
            self._note_answer()

    def _note_loss(self, error: Exception) -> None:
        self.contact.lost()
        if not self._is_away:
            extra = {"whom": self._target, "reason": reason_of(error)}
            logger.warning("the watch has lost contact", extra=extra)
        self._is_away = True

    def _note_answer(self) -> None:
        self.contact.heard()
        if self._is_away:
            logger.info("the watch has contact again", extra={"whom": self._target})
        self._is_away = False
