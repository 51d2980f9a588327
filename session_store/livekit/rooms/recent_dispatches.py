"""Rooms that were sent an agent without a claim, so that they are not sent a second one at once."""

from __future__ import annotations

import asyncio


class RecentDispatches:
    """Remembers rooms, each for a while, by the clock of the event loop.

    A claim in the store keeps processes from sending two agents. Without a claim, a process
    remembers at least what it has sent itself.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __contains__(self, room: str) -> bool:
        now = asyncio.get_running_loop().time()
        self._until = {known: until for known, until in self._until.items() if until > now}
        return room in self._until

    def add(self, room: str, *, for_s: float) -> None:
        """Remember a room for some seconds."""
        self._until[room] = asyncio.get_running_loop().time() + for_s

    def discard(self, room: str) -> None:
        """Forget a room; a no-op if it is not known."""
        self._until.pop(room, None)
