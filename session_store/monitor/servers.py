"""What one primary reports now, and how fast it answers."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from session_store.doctor import probes, server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.transport.node import Node
    from session_store.doctor.server import Facts

PINGS: Final = 50
_REPLICA: Final = re.compile(r"slave\d+")


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of a primary."""

    where: str
    online: bool
    lag_s: int
    """Seconds since the primary last heard of it."""


@dataclass(frozen=True, slots=True)
class ServerNow:
    """The figures of one primary."""

    where: str
    memory_bytes: int
    memory_max_bytes: int
    """0 if it has no bound of its own."""
    fragmentation: float
    """Memory that the process holds, divided by memory that it uses."""
    evicted_keys: int
    """Since its start."""
    clients: int
    clients_max: int
    clients_rejected: int
    """Since its start."""
    saves: bool
    """Whether its last write to disk succeeded."""
    loading: bool
    """Whether it is still reading its data from disk."""
    replicas: Sequence[Replica]
    ping_p50_ms: float
    ping_p99_ms: float


async def server_now(node: Node, timeout_s: float) -> ServerNow:
    """Ask one primary.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: no connection, or no answer in time.
    """
    facts = await server.info_of(node, timeout_s)
    times_ms, _ = await probes.round_trips(node, PINGS, timeout_s)
    return ServerNow(
        where=node.name,
        memory_bytes=facts.number("used_memory"),
        memory_max_bytes=facts.number("maxmemory"),
        fragmentation=float(facts.info.get("mem_fragmentation_ratio", "0")),
        evicted_keys=facts.number("evicted_keys"),
        clients=facts.number("connected_clients"),
        clients_max=facts.number("maxclients"),
        clients_rejected=facts.number("rejected_connections"),
        saves=_saves(facts),
        loading=facts.number("loading") == 1,
        replicas=tuple(_replicas(facts)),
        ping_p50_ms=statistics.median(times_ms),
        ping_p99_ms=statistics.quantiles(times_ms, n=100)[-1],
    )


def _saves(facts: Facts) -> bool:
    names = ["rdb_last_bgsave_status"]
    if facts.info.get("aof_enabled") == "1":
        names += ["aof_last_write_status", "aof_last_bgrewrite_status"]
    return all(facts.info.get(name, "ok") == "ok" for name in names)


def _replicas(facts: Facts) -> list[Replica]:
    found = []
    for name, value in facts.info.items():
        if _REPLICA.fullmatch(name):
            # ip=127.0.0.1,port=6380,state=online,offset=14,lag=1
            fields = dict(pair.partition("=")[::2] for pair in value.split(","))
            where = f"{fields.get('ip', '?')}:{fields.get('port', '?')}"
            lag_s = int(fields.get("lag", "0"))
            found.append(Replica(where, fields.get("state") == "online", lag_s))
    return found
