"""A cap on how often something is done, with some at once: a token bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateCap:
    """Lets ``per_s`` through each second, and as many at once after a quiet second."""

    def __init__(self, per_s: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._now = now
        self._left = self._most
        self._counted_at = now()

    def take(self) -> float:
        """Take a turn, and return in how many seconds it comes; 0.0 for now."""
        now = self._now()
        self._left = min(self._most, self._left + (now - self._counted_at) * self._per_s) - 1.0
        self._counted_at = now
        return max(0.0, -self._left / self._per_s)
