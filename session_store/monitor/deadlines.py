"""Overdue sessions, sessions without an agent, and sweepers, counted over all shards."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from session_store.errors import InvalidValue
from session_store.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_store.backends.redis.backend import RedisBackend
    from session_store.backends.transport.transport import Transport
    from session_store.keys import KeySpace

STALE_S: Final = 30.0
"""Sweepers handle a deadline within seconds. One of this age was missed by all of them."""
SWEEPER_SILENT_S: Final = 15.0
"""A sweeper reports several times within this time."""
UNATTENDED_IN_LEASES: Final = 3
"""A lease is taken over within two of its lengths; after this time it is not any more."""
MOST_PER_SHARD: Final = 100
MOST_LOOKED_AT: Final = 2000
"""The most sessions whose state is read at once, within the timeout of one call."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Counts of the deadlines that have passed."""

    sessions: int
    """How many; at most ``MOST_PER_SHARD`` are counted of each shard."""
    stale: int
    """How many passed more than ``STALE_S`` ago."""
    oldest_s: float
    """How long ago the oldest one passed; 0 for none."""


@dataclass(frozen=True, slots=True)
class SessionsNow:
    """Counts of all sessions of a store."""

    sessions: int
    """Sessions in the store, ended ones too."""
    live: int
    """Sessions with a participant, of those looked at."""
    unattended: int
    """Live sessions whose lease ran out long ago: their participant gets no answer."""
    looked_at: int
    """At most ``MOST_LOOKED_AT``. A live session has a deadline within the length of a lease."""
    overdue: Overdue
    sweepers: int
    """Sweepers that reported a moment ago."""


async def overdue_now(backend: RedisBackend) -> Overdue:
    """Count the overdue sessions of all shards, in one round trip per primary.

    Raises:
        StoreUnavailable, StoreRefused: no answer, or a refusal.
    """
    keys = _due_keys(backend.space)
    now_ms = await backend.transport.clock_ms(keys[0])
    return _overdue(await _due_until(backend.transport, keys, now_ms), now_ms)


async def sessions_now(backend: RedisBackend, lease_s: float) -> SessionsNow:
    """Count the sessions of all shards and read the live ones, in a few round trips per primary.

    Raises:
        StoreUnavailable, StoreRefused: no answer, or a refusal.
    """
    transport, space = backend.transport, backend.space
    keys = _due_keys(space)
    now_ms = await transport.clock_ms(keys[0])
    lease_ms = round(lease_s * 1000)
    sizes = await transport.execute_many([(key, ("ZCARD", key)) for key in keys])
    due = await _due_until(transport, keys, now_ms + lease_ms)
    sweepers = await transport.execute(
        space.sweepers,
        "ZRANGEBYSCORE",
        space.sweepers,
        now_ms - round(SWEEPER_SILENT_S * 1000),
        "+inf",
    )
    looked_at = _session_keys(space, (member for member, _ in due))
    live = await _attended_until(transport, looked_at)
    late_ms = now_ms - UNATTENDED_IN_LEASES * lease_ms
    return SessionsNow(
        sessions=sum(sizes),
        live=len(live),
        unattended=sum(until_ms < late_ms for until_ms in live),
        looked_at=len(looked_at),
        overdue=_overdue(due, now_ms),
        sweepers=len(sweepers),
    )


def _due_keys(space: KeySpace) -> list[str]:
    return [space.due(shard) for shard in range(SHARDS)]


async def _due_until(
    transport: Transport, keys: Sequence[str], until_ms: int
) -> list[tuple[bytes, float]]:
    """Return members and deadlines; of each shard the earliest."""
    limit = ("WITHSCORES", "LIMIT", 0, MOST_PER_SHARD)
    found = await transport.execute_many(
        [(key, ("ZRANGEBYSCORE", key, "-inf", until_ms, *limit)) for key in keys]
    )
    return [
        (member, float(score))
        for flat in found
        for member, score in zip(flat[::2], flat[1::2], strict=True)
    ]


def _overdue(due: Sequence[tuple[bytes, float]], now_ms: int) -> Overdue:
    ages_s = [(now_ms - at_ms) / 1000 for _, at_ms in due if at_ms <= now_ms]
    return Overdue(
        sessions=len(ages_s),
        stale=sum(age_s > STALE_S for age_s in ages_s),
        oldest_s=max(ages_s, default=0.0),
    )


def _session_keys(space: KeySpace, members: Iterable[bytes]) -> list[str]:
    """Return the keys of sessions; some deadlines are of participants without one."""
    keys = []
    for member in members:
        participant, _, session_id = member.decode(errors="replace").partition(":")
        if session_id:
            with suppress(InvalidValue):
                keys.append(space.participant(participant).session(session_id))
    return keys[:MOST_LOOKED_AT]


async def _attended_until(transport: Transport, keys: Sequence[str]) -> list[float]:
    """Return until when each live session has an agent, or expects one."""
    commands = [(key, ("HMGET", key, "state", "lease_until", "agent_by")) for key in keys]
    replies: list[Any] = await transport.execute_many(commands)
    return [
        max(float(lease_until or 0), float(agent_by or 0))
        for state, lease_until, agent_by in replies
        if state == b"live"
    ]
