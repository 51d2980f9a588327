"""How often somebody may ask: each answer makes a room and takes an agent, and those are few."""

from __future__ import annotations

import ipaddress
import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_SWEEP_AT: Final = 10_000
"""So many callers are remembered before those are forgotten whose bucket is full again."""
_IPV6_NETWORK_BITS: Final = 64
"""A household has a network of this size, not one address."""


class Buckets:
    """A token bucket per caller: ``burst`` at once, and ``per_minute`` from then on."""

    def __init__(
        self, per_minute: int, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the buckets, in memory of this process alone.

        Args:
            per_minute: tokens that come back in a minute; 0 bounds nothing.
            burst: tokens of a full bucket.
            clock: seconds, monotonic.
        """
        self._per_s = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._full_at: dict[Hashable, float] = {}
        """By caller, when the bucket is full again; who is not in it has a full one."""

    def take(self, caller: Hashable) -> int:
        """Take a token; return 0, or for how many seconds there is none, and then none is taken."""
        if not self._per_s:
            return 0
        now = self._clock()
        full_at = max(self._full_at.get(caller, now), now) + 1 / self._per_s
        wait_s = full_at - now - self._burst / self._per_s
        if wait_s > 1e-6:  # noqa: PLR2004 (what adding seconds up has rounded off)
            return math.ceil(wait_s)
        self._full_at[caller] = full_at
        if len(self._full_at) > _SWEEP_AT:
            self._full_at = {each: at for each, at in self._full_at.items() if at > now}
        return 0


def caller_at(address: str | None) -> str:
    """Return what callers at this address are counted as: of IPv6, the network.

    Without an address (a socket file) they are counted as one.
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if parsed.version == 4:  # noqa: PLR2004 (the version's name)
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
