"""Rate limits of callers: each admission makes a room and takes an agent, and both are scarce."""

from __future__ import annotations

import ipaddress
import math
import time
from typing import TYPE_CHECKING, Final

from session_store.tasks import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_SWEEP_AT: Final = 10_000
"""With more callers than this in memory, those with a full bucket are forgotten."""
_IPV6_NETWORK_BITS: Final = 64
"""A household has a network of this size, not one address."""


class CallerLimits:
    """A token bucket per caller: ``burst`` requests at once, then ``per_minute``."""

    def __init__(
        self, per_minute: int, burst: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the buckets, in the memory of this process.

        Args:
            per_minute: tokens that come back in a minute; 0 means no limit.
            burst: tokens of a full bucket.
            now: the clock, in seconds; monotonic.
        """
        self._per_s = per_minute / 60
        self._burst = burst
        self._now = now
        self._buckets: dict[Hashable, RateLimit] = {}

    def take(self, caller: Hashable) -> int:
        """Take a token of this caller if there is one.

        Returns:
            0; or the seconds until there is a token, rounded up, and then none is taken.
        """
        if not self._per_s:
            return 0
        wait_s = math.ceil(self._bucket_of(caller).take())
        if len(self._buckets) > _SWEEP_AT:
            self._forget_full_buckets()
        return wait_s

    def _bucket_of(self, caller: Hashable) -> RateLimit:
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = RateLimit(self._per_s, self._burst, now=self._now)
        return bucket

    def _forget_full_buckets(self) -> None:
        used = {caller: each for caller, each in self._buckets.items() if not each.is_full}
        self._buckets = used


def caller_at(address: str | None) -> str:
    """Return the caller that requests from this address count for.

    For IPv6 it is the network. All requests without an address (from a socket file) count for one
    caller.
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if parsed.version == 4:  # noqa: PLR2004 (the version's name)
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
