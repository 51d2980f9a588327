"""Checks of one server: pure functions of the facts that it reports."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from session_store.doctor.finding import Finding, fail, ok, warn
from session_store.redis_address import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.backends.transport.node import Node
    from session_store.settings import StoreSettings

OLDEST: Final = (6, 2)
FULL_FROM: Final = 0.8
"""The share of its memory at which a server counts as nearly full."""
_CONFIG: Final = ("save", "appendfsync", "min-replicas-to-write")
"""Settings that INFO does not report."""
_RIGHTS: Final = "let this user run INFO (+info), or ask as the operator of deploy/redis/users.acl"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server reports. Refused answers are missing."""

    where: str
    info: Mapping[str, str]
    config: Mapping[str, str]
    user: str | None

    def number(self, name: str) -> int:
        """Return a number of INFO; 0 if it is missing."""
        return int(self.info.get(name, "0"))


async def facts_of(node: Node, timeout_s: float) -> Facts:
    """Ask a server, in one round trip.

    Raises:
        redis.exceptions.RedisError, OSError: no connection, no login, no answer in time.
    """
    questions = [("CONFIG", "GET", name) for name in _CONFIG]
    info, user, *settings = await node.ask(
        ("INFO",), ("ACL", "WHOAMI"), *questions, timeout_s=timeout_s
    )
    config = {}
    for reply in settings:
        if not isinstance(reply, ResponseError) and len(reply) == 2:  # noqa: PLR2004 (name, value)
            config[reply[0].decode()] = reply[1].decode()
    return Facts(
        node.name,
        {} if isinstance(info, ResponseError) else _parse(info),
        config,
        None if isinstance(user, ResponseError) else user.decode(),
    )


async def info_of(node: Node, timeout_s: float) -> Facts:
    """Ask a server only for INFO, which every user of the store may run; raises as ``facts_of``."""
    [info] = await node.ask(("INFO",), timeout_s=timeout_s)
    return Facts(node.name, {} if isinstance(info, ResponseError) else _parse(info), {}, None)


def checks_of(facts: Facts, settings: StoreSettings) -> list[Finding]:
    """Run every check of this module."""
    findings = [transport_security(facts, settings), login(facts, settings)]
    if not facts.info:
        return [warn("server", "it does not report its settings", _RIGHTS), *findings]
    return [
        version(facts),
        *kind(facts, settings),
        *findings,
        eviction(facts),
        memory(facts),
        persistence(facts),
        replicas(facts, settings),
    ]


def version(facts: Facts) -> Finding:
    """Check that the server has every command that the store uses."""
    name = "Valkey" if "valkey_version" in facts.info else "Redis"
    text = facts.info.get("valkey_version") or facts.info.get("redis_version", "0")
    if tuple(map(int, re.findall(r"\d+", text)[:2])) >= OLDEST:
        return ok("version", f"{name} {text}")
    return fail("version", f"{name} {text} is too old", "install 6.2 or newer")


def kind(facts: Facts, settings: StoreSettings) -> list[Finding]:
    """Check that the server is of the kind in REJOIN_REDIS_URL."""
    # The second name is Valkey's.
    mode = facts.info.get("redis_mode") or facts.info.get("server_mode")
    wanted = settings.redis_address.kind
    if mode == "sentinel":
        change = "begin REJOIN_REDIS_URL with redis+sentinel://, and name the service"
        return [fail("kind", "this is a sentinel, not a Redis", change)]
    if mode == "cluster" and wanted is not Kind.CLUSTER:
        change = "begin REJOIN_REDIS_URL with redis+cluster://"
        return [fail("kind", "this is one node of a Cluster; it refuses most keys", change)]
    if facts.info.get("role") == "slave":
        says = "this is a replica: it is read-only and saves nothing"
        change = "point REJOIN_REDIS_URL to the primary, or to the sentinels"
        return [fail("kind", says, change)]
    return []


def transport_security(facts: Facts, settings: StoreSettings) -> Finding:
    """Check that the connection is encrypted, or local."""
    if settings.redis_address.tls:
        return ok("tls", "the connection is encrypted")
    if is_local(facts.where):
        return ok("tls", "not encrypted, but on this machine only")
    return warn(
        "tls",
        "the connection is not encrypted: the password and the times of conversations can be read "
        "on the way (their content is sealed)",
        "begin REJOIN_REDIS_URL with rediss, unless that network is yours alone",
    )


def login(facts: Facts, settings: StoreSettings) -> Finding:
    """Check that the user has no more rights than it needs."""
    if facts.user is None:
        return ok("login", "logged in, as a user that may not ask for its own name")
    if facts.user != "default":
        return ok("login", f"logged in as {facts.user}")
    if is_local(facts.where):
        return ok("login", "logged in as default, but on this machine only")
    change = "use the users of deploy/redis/users.acl, and switch default off"
    if settings.redis_address.password is None:
        return fail(
            "login", "no password: every program that reaches this Redis may do everything", change
        )
    return warn("login", "logged in as default, which may do everything, even FLUSHALL", change)


def eviction(facts: Facts) -> Finding:
    """Check that a full Redis refuses writes, instead of deleting conversations."""
    policy = facts.info.get("maxmemory_policy", "")
    if policy == "noeviction":
        return ok("eviction", "a full Redis refuses writes and deletes nothing")
    change = (
        "set maxmemory-policy noeviction in redis.conf (CONFIG SET maxmemory-policy noeviction)"
    )
    if not policy:
        return warn("eviction", "it does not report its maxmemory-policy", change)
    return fail(
        "eviction", f"maxmemory-policy is {policy}: a full Redis deletes conversations", change
    )


def memory(facts: Facts) -> Finding:
    """Check that memory is left."""
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    of = "maxmemory"
    if not limit:
        limit, of = facts.number("total_system_memory"), "the machine's memory; no maxmemory is set"
    if not limit:
        return ok("memory", f"{_size(used)} used")
    says = f"{_size(used)} of {_size(limit)} used ({of})"
    if used < FULL_FROM * limit:
        return ok("memory", says)
    return warn("memory", f"{says}: nearly full", "give it more memory, or shorten the retention")


def persistence(facts: Facts) -> Finding:
    """Check what a restart of Redis would lose."""
    if facts.info.get("aof_enabled") == "1":
        return _append_only(facts)
    if facts.info.get("rdb_last_bgsave_status", "ok") != "ok":
        return fail("persistence", "the last snapshot failed", "check for a full disk")
    change = "set appendonly yes in redis.conf (CONFIG SET appendonly yes)"
    schedule = facts.config.get("save")
    if schedule is None:
        says = "no append-only file, and it does not report whether it makes snapshots"
        return warn("persistence", says, change)
    if schedule:
        says = "snapshots only: a crash loses everything since the last one"
        return warn("persistence", says, change)
    says = "nothing is written to disk: a restart of Redis loses all conversations"
    return fail("persistence", says, change)


def _append_only(facts: Facts) -> Finding:
    if facts.info.get("aof_last_write_status", "ok") != "ok":
        return fail(
            "persistence", "the append-only file cannot be written", "check for a full disk"
        )
    fsync = facts.config.get("appendfsync", "")
    if fsync == "no":
        says = "append-only file, synced by the system: a crash may lose half a minute"
        return warn("persistence", says, "set appendfsync everysec in redis.conf")
    loss = {"always": "nothing", "everysec": "a second at most"}.get(fsync, "little")
    return ok("persistence", f"append-only file; a crash loses {loss}")


def replicas(facts: Facts, settings: StoreSettings) -> Finding:
    """Check that turns can count as saved, and that a replica can take over."""
    there = facts.number("connected_slaves")
    count = f"{there} replica{'' if there == 1 else 's'}"
    if settings.durability == "replicated":
        asked = settings.replicas_asked
        if there < asked:
            return fail(
                "replicas",
                f"{count}, but {asked} must confirm a turn: no turn will count as saved",
                "start replicas, or lower REJOIN_REPLICAS_ASKED",
            )
        if facts.config.get("min-replicas-to-write", "1") == "0":
            return warn(
                "replicas",
                f"{count}; a primary that loses them still accepts writes, which a failover "
                "takes back",
                f"set min-replicas-to-write {asked} in redis.conf",
            )
        return ok("replicas", f"{count}, {asked} required")
    says = f"{count}; a turn counts as saved when the primary has it"
    if there:
        return ok("replicas", f"{says} (a failover may lose the last ones)")
    return ok("replicas", says)


def is_local(where: str) -> bool:
    """Return whether ``host:port``, or the path of a socket, is on this machine."""
    if where.startswith("/"):
        return True
    host = where.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parse(info: Any) -> dict[str, str]:
    """Read the lines ``name:value`` of INFO."""
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 (bytes per unit of the next size)
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
