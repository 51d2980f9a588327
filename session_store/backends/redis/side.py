"""``SideChannel`` in Redis: best effort, outside the keys of any participant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from session_store.backends.contract import SideChannel
from session_store.backends.redis.listen import listen
from session_store.backends.values import AuditEntry
from session_store.keys import LONG_LIFETIME, MAX_AUDIT_ENTRIES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
    from datetime import date

    from session_store.backends.transport.call import Argument
    from session_store.backends.transport.transport import Transport
    from session_store.keys import KeySpace

_LIFETIME_S = int(LONG_LIFETIME.total_seconds())


class RedisSideChannel(SideChannel):
    """Events, counts, the audit stream, marks of rooms, over a ``RedisBackend``'s transport."""

    def __init__(self, transport: Transport, space: KeySpace) -> None:
        self._transport = transport
        self._space = space

    @override
    def listen(self) -> AsyncGenerator[bytes | None, None]:
        return listen(self._transport.topology, self._space.events)

    @override
    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        commands: list[tuple[str, tuple[Argument, ...]]] = []
        if counters:
            key = self._space.day_counts(day)
            commands += [(key, ("HINCRBY", key, name, by)) for name, by in counters.items()]
            commands.append((key, ("EXPIRE", key, _LIFETIME_S)))
        if people:
            key = self._space.day_people(day)
            commands.append((key, ("PFADD", key, *people)))
            commands.append((key, ("EXPIRE", key, _LIFETIME_S)))
        if commands:
            # Not repeatable: if the answer is lost, the counts may have been added already.
            await self._transport.execute_many(commands, repeatable=False)

    @override
    async def counted(self, day: date) -> Mapping[str, int]:
        key = self._space.day_counts(day)
        flat = await self._transport.execute(key, "HGETALL", key)
        return {name.decode(): int(count) for name, count in _pairs(flat)}

    @override
    async def people(self, days: Sequence[date]) -> int:
        keys = [self._space.day_people(day) for day in days]
        return int(await self._transport.execute(keys[0], "PFCOUNT", *keys)) if keys else 0

    @override
    async def audit(self, fields: Mapping[str, str]) -> str:
        words = [word for pair in fields.items() for word in pair]
        key = self._space.audit
        entry_id, _ = await self._transport.execute_many(
            [
                (key, ("XADD", key, "MAXLEN", "~", MAX_AUDIT_ENTRIES, "*", *words)),
                (key, ("EXPIRE", key, _LIFETIME_S)),
            ],
            repeatable=False,
        )
        return _text(entry_id)

    @override
    async def mark_room(self, mac: str, owner: str, lifetime_ms: int) -> str:
        key = self._space.room_mark(mac)
        _, _, marked = await self._transport.execute_many(
            [
                (key, ("HSETNX", key, "owner", owner)),
                (key, ("PEXPIRE", key, lifetime_ms)),
                (key, ("HGET", key, "owner")),
            ]
        )
        return _text(marked)

    @override
    async def audited(self, after: str, limit: int) -> Sequence[AuditEntry]:
        key = self._space.audit
        entries = await self._transport.execute(
            key, "XRANGE", key, f"({after}", "+", "COUNT", limit
        )
        return [
            AuditEntry(entry_id.decode(), {_text(name): _text(word) for name, word in _pairs(flat)})
            for entry_id, flat in entries
        ]


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _text(raw: bytes) -> str:
    """Decode text that any program with access may have written: an audit must show it anyway."""
    return raw.decode("utf-8", "replace")
