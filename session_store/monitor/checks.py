"""What is judged of the figures: pure functions, with a bound for each."""

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
"""Of ``maxmemory``. At all of it, nothing can be saved any more."""
FRAGMENTED: Final = 1.5
FRAGMENTED_FROM_BYTES: Final = 256 * 1024 * 1024
"""A small Redis has a large ratio, which costs nothing."""
CLIENTS_WARN: Final = 0.8
LAG_WARN_S: Final = 5
OVERDUE_WARN_S: Final = 10.0


def of_server(now: ServerNow, settings: StoreSettings) -> Iterator[Finding]:
    """Judge one primary."""
    yield memory(now)
    if now.memory_bytes > FRAGMENTED_FROM_BYTES and now.fragmentation > FRAGMENTED:
        says = f"the process has {now.fragmentation:.1f} times the memory that it uses"
        yield warn("fragmentation", says, "set activedefrag yes, or restart it when there is time")
    yield evictions(now)
    yield saves(now)
    yield replicas(now, settings)
    yield clients(now)
    yield round_trips(now, settings)


def memory(now: ServerNow) -> Finding:
    """Judge how full it is."""
    used = mebibytes(now.memory_bytes)
    if not now.memory_max_bytes:
        return ok("memory", f"{used} used; no maxmemory is set")
    share = now.memory_bytes / now.memory_max_bytes
    says = f"{used} of {mebibytes(now.memory_max_bytes)} used ({share:.0%})"
    change = "give it more memory, or shorten the retention"
    if share >= MEMORY_FAIL:
        return fail("memory", f"{says}: soon nothing can be saved", change)
    if share >= MEMORY_WARN:
        return warn("memory", f"{says}: nearly full", change)
    return ok("memory", says)


def evictions(now: ServerNow) -> Finding:
    """Judge whether it has deleted what was to be kept."""
    if not now.evicted_keys:
        return ok("evictions", "none")
    return fail(
        "evictions",
        f"{now.evicted_keys} keys were evicted since it was started: conversations are lost",
        "set maxmemory-policy noeviction; CONFIG RESETSTAT counts anew",
    )


def saves(now: ServerNow) -> Finding:
    """Judge whether it can write to disk."""
    if now.loading:
        return fail("disk", "it is reading its data from disk, and answers nobody", "wait")
    if not now.saves:
        says = "what it wrote last to disk has failed: a restart would forget it"
        return fail("disk", says, "look for a full disk, and into its log")
    return ok("disk", "what it wrote last is there")


def replicas(now: ServerNow, settings: StoreSettings) -> Finding:
    """Judge whether enough follow, closely."""
    online = [each for each in now.replicas if each.online]
    asked = settings.replicas_asked if settings.durability == "replicated" else 0
    says = f"{len(online)} online"
    if len(online) < asked:
        return fail("replicas", f"{says}, {asked} asked: no turn counts as saved", "start replicas")
    late = [each for each in now.replicas if not each.online or each.lag_s > LAG_WARN_S]
    if late:
        where = ", ".join(each.where for each in late)
        return warn("replicas", f"{says}; behind or not in step: {where}", "look into their logs")
    return ok("replicas", says)


def clients(now: ServerNow) -> Finding:
    """Judge whether the next one gets in."""
    says = f"{now.clients} of {now.clients_max}" if now.clients_max else f"{now.clients}"
    change = "raise maxclients, or look who keeps connections"
    if now.clients_max and now.clients >= CLIENTS_WARN * now.clients_max:
        return warn("clients", f"{says}: nearly as many as it takes", change)
    if now.clients_rejected:
        says = f"{says}; {now.clients_rejected} were turned away since it was started"
        return warn("clients", says, change)
    return ok("clients", says)


def round_trips(now: ServerNow, settings: StoreSettings) -> Finding:
    """Judge how long everybody waits for it."""
    says = f"p50 {now.ping_p50_ms:.2f} ms, p99 {now.ping_p99_ms:.2f} ms"
    near = "look at what else runs there (SLOWLOG GET), and at the network"
    if now.ping_p50_ms > settings.lease_renew_s * 1000:
        return fail("round trip", f"{says}: leases run out before they are renewed", near)
    if now.ping_p50_ms > SLOW_MS:
        return warn("round trip", f"{says}: whoever comes back has to wait", near)
    return ok("round trip", says)


def of_sessions(now: SessionsNow) -> Iterator[Finding]:
    """Judge whether sessions are looked after."""
    yield sweepers(now)
    yield overdue(now)
    yield agents(now)


def sweepers(now: SessionsNow) -> Finding:
    """Judge whether anybody ends sessions, and misses agents."""
    if now.sweepers:
        return ok("sweepers", f"{now.sweepers} live")
    says = "none lives: no session ends, none is erased, no lost agent is missed"
    change = "start a worker, or session-store sweep"
    return fail("sweepers", says, change) if now.sessions else warn("sweepers", says, change)


def overdue(now: SessionsNow) -> Finding:
    """Judge whether deadlines are kept."""
    late = now.overdue
    says = f"{late.sessions} due, the oldest for {late.oldest_s:.1f} s"
    change = "look at the workers' logs for sessions that cannot be swept"
    if late.stale:
        return fail("deadlines", f"{says}; {late.stale} are stale: nobody sees to them", change)
    if late.oldest_s > OVERDUE_WARN_S:
        return warn("deadlines", f"{says}: the sweepers are behind", change)
    return ok("deadlines", says)


def agents(now: SessionsNow) -> Finding:
    """Judge whether everybody who is there has an agent."""
    of = f", of {now.looked_at} looked at" if now.looked_at >= MOST_LOOKED_AT else ""
    if now.unattended:
        return warn(
            "agents",
            f"{now.unattended} of {now.live} live sessions have none{of}",
            "look whether workers run, and are free",
        )
    return ok("agents", f"{now.live} live sessions{of}, each has one or gets one")


def mebibytes(count: int) -> str:
    """Write a size."""
    return f"{count / 1024 / 1024:.1f} MiB"
