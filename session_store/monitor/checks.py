"""Checks of the figures: pure functions, with a bound for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from session_store.doctor.finding import Finding, fail, ok, warn
from session_store.doctor.probes import SLOW_MS
from session_store.monitor.deadlines import MOST_LOOKED_AT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_store.monitor.deadlines import SessionsNow
    from session_store.monitor.servers import ServerNow
    from session_store.settings import StoreSettings

MEMORY_WARN: Final = 0.8
MEMORY_FAIL: Final = 0.9
"""Shares of ``maxmemory``. A full Redis saves nothing any more."""
FRAGMENTED: Final = 1.5
FRAGMENTED_FROM_BYTES: Final = 256 * 1024 * 1024
"""A small Redis has a large ratio that costs nothing."""
CLIENTS_WARN: Final = 0.8
LAG_WARN_S: Final = 5
OVERDUE_WARN_S: Final = 10.0


def of_server(now: ServerNow, settings: StoreSettings) -> Iterator[Finding]:
    """Judge one primary."""
    yield memory(now)
    if now.memory_bytes > FRAGMENTED_FROM_BYTES and now.fragmentation > FRAGMENTED:
        says = f"the process holds {now.fragmentation:.1f} times the memory that it uses"
        yield warn("fragmentation", says, "set activedefrag yes, or restart it at a quiet time")
    yield evictions(now)
    yield saves(now)
    yield replicas(now, settings)
    yield clients(now)
    yield round_trips(now, settings)


def memory(now: ServerNow) -> Finding:
    """Judge how full the server is."""
    used = mebibytes(now.memory_bytes)
    if not now.memory_max_bytes:
        return ok("memory", f"{used} used; no maxmemory is set")
    share = now.memory_bytes / now.memory_max_bytes
    says = f"{used} of {mebibytes(now.memory_max_bytes)} used ({share:.0%})"
    change = "give it more memory, or shorten the retention"
    if share >= MEMORY_FAIL:
        return fail("memory", f"{says}: soon it will save nothing", change)
    if share >= MEMORY_WARN:
        return warn("memory", f"{says}: nearly full", change)
    return ok("memory", says)


def evictions(now: ServerNow) -> Finding:
    """Judge whether the server deleted data that it should keep."""
    if not now.evicted_keys:
        return ok("evictions", "none")
    return fail(
        "evictions",
        f"{now.evicted_keys} keys were evicted since its start: conversations are lost",
        "set maxmemory-policy noeviction; CONFIG RESETSTAT resets the count",
    )


def saves(now: ServerNow) -> Finding:
    """Judge whether the server can write to disk."""
    if now.loading:
        return fail("disk", "it is reading its data from disk and answers no call", "wait")
    if not now.saves:
        says = "its last write to disk failed: a restart would lose data"
        return fail("disk", says, "check for a full disk, and read its log")
    return ok("disk", "its last write succeeded")


def replicas(now: ServerNow, settings: StoreSettings) -> Finding:
    """Judge whether enough replicas follow closely."""
    online = [replica for replica in now.replicas if replica.online]
    asked = settings.replicas_asked if settings.durability == "replicated" else 0
    says = f"{len(online)} online"
    if len(online) < asked:
        return fail(
            "replicas", f"{says}, {asked} required: no turn counts as saved", "start replicas"
        )
    late = [replica for replica in now.replicas if not replica.online or replica.lag_s > LAG_WARN_S]
    if late:
        where = ", ".join(replica.where for replica in late)
        return warn("replicas", f"{says}; behind or out of sync: {where}", "read their logs")
    return ok("replicas", says)


def clients(now: ServerNow) -> Finding:
    """Judge whether the server accepts more connections."""
    says = f"{now.clients} of {now.clients_max}" if now.clients_max else f"{now.clients}"
    change = "raise maxclients, or find the programs that keep connections (CLIENT LIST)"
    if now.clients_max and now.clients >= CLIENTS_WARN * now.clients_max:
        return warn("clients", f"{says}: nearly all connections are in use", change)
    if now.clients_rejected:
        says = f"{says}; {now.clients_rejected} were refused since its start"
        return warn("clients", says, change)
    return ok("clients", says)


def round_trips(now: ServerNow, settings: StoreSettings) -> Finding:
    """Judge how long calls wait for the server."""
    says = f"p50 {now.ping_p50_ms:.2f} ms, p99 {now.ping_p99_ms:.2f} ms"
    near = "see what else runs there (SLOWLOG GET), and check the network"
    if now.ping_p50_ms > settings.lease_renew_s * 1000:
        return fail("round trip", f"{says}: leases run out before their renewal", near)
    if now.ping_p50_ms > SLOW_MS:
        return warn("round trip", f"{says}: a returning participant has to wait", near)
    return ok("round trip", says)


def of_sessions(now: SessionsNow) -> Iterator[Finding]:
    """Judge the state of the sessions."""
    yield sweepers(now)
    yield overdue(now)
    yield agents(now)


def sweepers(now: SessionsNow) -> Finding:
    """Judge whether a process ends sessions and notices lost agents."""
    if now.sweepers:
        return ok("sweepers", f"{now.sweepers} running")
    says = "none is running: no session ends, none is erased, no lost agent is noticed"
    change = "start a worker, or session-store sweep"
    return fail("sweepers", says, change) if now.sessions else warn("sweepers", says, change)


def overdue(now: SessionsNow) -> Finding:
    """Judge whether deadlines are met."""
    late = now.overdue
    says = f"{late.sessions} due, the oldest for {late.oldest_s:.1f} s"
    change = "search the workers' logs for sessions that cannot be swept"
    if late.stale:
        return fail("deadlines", f"{says}; {late.stale} are stale: no sweeper handles them", change)
    if late.oldest_s > OVERDUE_WARN_S:
        return warn("deadlines", f"{says}: the sweepers are behind", change)
    return ok("deadlines", says)


def agents(now: SessionsNow) -> Finding:
    """Judge whether every participant who is there has an agent."""
    of = f", of {now.looked_at} looked at" if now.looked_at >= MOST_LOOKED_AT else ""
    if now.unattended:
        return warn(
            "agents",
            f"{now.unattended} of {now.live} live sessions have none{of}",
            "check whether workers run and are free",
        )
    return ok("agents", f"{now.live} live sessions{of}; each has one or gets one")


def mebibytes(count: int) -> str:
    """Write a size in MiB."""
    return f"{count / 1024 / 1024:.1f} MiB"
