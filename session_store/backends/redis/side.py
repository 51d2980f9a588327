"""``SideChannel`` in Redis: best effort, outside the keys of any participant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from session_store.backends.contract import SideChannel
from session_store.backends.redis.listen import listen
from session_store.backends.values import AuditEntry
from session_store.keys import (
    AUDIT,
    LONG_LIFETIME,
    MAX_AUDIT_ENTRIES,
    day_counts,
    day_people,
    room_mark,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
    from datetime import date

    from session_store.backends.transport.call import Argument
    from session_store.backends.transport.transport import Transport

_LIFETIME_S = int(LONG_LIFETIME.total_seconds())


class RedisSideChannel(SideChannel):
    """Events, counts, the audit stream, marks of rooms, over a ``RedisBackend``'s transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @override
    def listen(self) -> AsyncGenerator[bytes | None, None]:
        return listen(self._transport.topology)

    @override
    async def count(self, day: date, people: Collection[str], counters: Mapping[str, int]) -> None:
        commands: list[tuple[str, tuple[Argument, ...]]] = []
        if counters:
            key = day_counts(day)
            commands += [(key, ("HINCRBY", key, name, by)) for name, by in counters.items()]
            commands.append((key, ("EXPIRE", key, _LIFETIME_S)))
        if people:
            key = day_people(day)
            commands.append((key, ("PFADD", key, *people)))
            commands.append((key, ("EXPIRE", key, _LIFETIME_S)))
        if commands:
            # Not repeatable: if the answer is lost, the counts may have been added already.
            await self._transport.execute_many(commands, repeatable=False)

    @override
    async def counted(self, day: date) -> Mapping[str, int]:
        key = day_counts(day)
        flat = await self._transport.execute(key, "HGETALL", key)
        return {name.decode(): int(count) for name, count in _pairs(flat)}

    @override
    async def people(self, days: Sequence[date]) -> int:
        keys = [day_people(day) for day in days]
        return int(await self._transport.execute(keys[0], "PFCOUNT", *keys)) if keys else 0

    @override
    async def audit(self, fields: Mapping[str, str]) -> str:
        words = [word for pair in fields.items() for word in pair]
        entry_id, _ = await self._transport.execute_many(
            [
                (AUDIT, ("XADD", AUDIT, "MAXLEN", "~", MAX_AUDIT_ENTRIES, "*", *words)),
                (AUDIT, ("EXPIRE", AUDIT, _LIFETIME_S)),
            ],
            repeatable=False,
        )
        return _text(entry_id)

    @override
    async def mark_room(self, mac: str, owner: str, lifetime_ms: int) -> str:
        key = room_mark(mac)
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
        entries = await self._transport.execute(
            AUDIT, "XRANGE", AUDIT, f"({after}", "+", "COUNT", limit
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
