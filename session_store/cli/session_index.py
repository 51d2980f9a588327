"""Sessions of all participants. Redis has no list of them, but a deadline of each in its shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from session_store.backends.values import SessionRef
from session_store.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.redis.backend import RedisBackend

_SCAN_COUNT: Final = 1000
"""Members that Redis examines in one step of a search: few, so that it never stalls."""


async def page(
    backend: RedisBackend, *, offset: int, limit: int
) -> tuple[int, Sequence[SessionRef]]:
    """Count all sessions, and return a page of them.

    They are in the order of their shards. It means nothing, but it stays the same.
    """
    transport, keys = backend.transport, _keys(backend)
    sizes = await transport.execute_many([(key, ("ZCARD", key)) for key in keys])
    commands: list[tuple[str, tuple[str | int, ...]]] = []
    first, wanted = offset, limit
    for key, size in zip(keys, sizes, strict=True):
        if first < size and wanted > 0:
            taken = min(size - first, wanted)
            commands.append((key, ("ZRANGE", key, first, first + taken - 1)))
            wanted -= taken
        first = max(0, first - size)
    found = await transport.execute_many(commands) if commands else []
    return sum(sizes), [_due(member) for members in found for member in members]


async def find_participant(backend: RedisBackend, session_id: str) -> str | None:
    """Search all shards for a session and return its participant. It examines every session."""
    cursors = dict.fromkeys(_keys(backend), b"0")
    while cursors:
        commands: list[tuple[str, tuple[str | bytes | int, ...]]] = [
            (key, ("ZSCAN", key, cursor, "MATCH", f"*:{session_id}", "COUNT", _SCAN_COUNT))
            for key, cursor in cursors.items()
        ]
        replies = await backend.transport.execute_many(commands)
        for _, members in replies:
            if members:
                return _due(members[0]).participant
        pairs = zip(cursors, replies, strict=True)
        cursors = {key: cursor for key, (cursor, _) in pairs if cursor != b"0"}
    return None


def _keys(backend: RedisBackend) -> list[str]:
    return [backend.space.due(shard) for shard in range(SHARDS)]


def _due(member: bytes) -> SessionRef:
    participant, _, session_id = member.decode("utf-8", "replace").partition(":")
    return SessionRef(participant, session_id)
