"""Events, day counts, the audit stream and marks of rooms of a ``MemoryBackend``."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from session_store.backends.contract import SideChannel
from session_store.backends.values import AuditEntry
from session_store.keys import LONG_LIFETIME, MAX_AUDIT_ENTRIES

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Collection,
        Iterable,
        Mapping,
        Sequence,
    )
    from datetime import date

    from session_store.events import Event


_LIFETIME_MS = round(LONG_LIFETIME.total_seconds() * 1000)


@dataclass(slots=True)
class _Day:
    counters: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    expires_at: int = 0


class _RoomMark(NamedTuple):
    owner: str
    expires_at: int


class MemorySide(SideChannel):
    """``SideChannel`` in plain Python. Listeners hear what is published in this process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._days: dict[date, _Day] = {}
        self._rooms: dict[str, _RoomMark] = {}
        self._entries: deque[AuditEntry] = deque(maxlen=MAX_AUDIT_ENTRIES)
        self._last_id = (0, 0)

    def publish(self, events: Iterable[Event]) -> None:
        """Send events to every listener."""
        for event in events:
            payload = event.model_dump_json().encode()
            for listener in self._listeners:
                listener.put_nowait(payload)

    @override
    async def listen(self) -> AsyncGenerator[bytes | None, None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        queue.put_nowait(None)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    @override
    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        if people or counters:
            counted = self._days.setdefault(day, _Day())
            counted.people.update(people)
            counted.counters.update(counters)
            counted.expires_at = self._clock() + _LIFETIME_MS

    @override
    async def counted(self, day: date) -> Mapping[str, int]:
        self._forget_expired()
        return dict(self._days.get(day, _Day()).counters)

    @override
    async def people(self, days: Sequence[date]) -> int:
        self._forget_expired()
        days_seen = (self._days.get(day, _Day()).people for day in days)
        return len(set[str]().union(*days_seen))

    @override
    async def audit(self, fields: Mapping[str, str]) -> str:
        self._forget_expired()
        last_ms, last_n = self._last_id
        now = self._clock()
        # As in a Redis stream, ids grow even if the clock does not.
        self._last_id = (now, 0) if now > last_ms else (last_ms, last_n + 1)
        entry = AuditEntry("{}-{}".format(*self._last_id), dict(fields))
        self._entries.append(entry)
        return entry.id

    @override
    async def mark_room(self, mac: str, owner: str, lifetime_ms: int) -> str:
        self._forget_expired()
        marked = self._rooms[mac].owner if mac in self._rooms else owner
        self._rooms[mac] = _RoomMark(marked, self._clock() + lifetime_ms)
        return marked

    @override
    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        self._forget_expired()
        behind = _place(after)
        return [entry for entry in self._entries if _place(entry.id) > behind][:limit]

    def _forget_expired(self) -> None:
        now = self._clock()
        for mac in [mac for mac, mark in self._rooms.items() if mark.expires_at <= now]:
            del self._rooms[mac]
        for day in [day for day, counted in self._days.items() if counted.expires_at <= now]:
            del self._days[day]
        if self._entries and self._last_id[0] + _LIFETIME_MS <= now:
            self._entries.clear()


def _place(entry_id: str) -> tuple[int, int]:
    at_ms, _, n = entry_id.partition("-")
    return int(at_ms), int(n or 0)
