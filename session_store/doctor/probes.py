"""Checks that use Redis: its speed, its clock, and the rights of this user."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.backends.transport.transport import clock_ms_in
from session_store.doctor.finding import Finding, fail, ok, warn
from session_store.errors import KeyringError, PermissionMissing, SessionStoreError
from session_store.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from session_store.backends.redis.backend import RedisBackend
    from session_store.backends.transport.node import Node
    from session_store.sealing.keyring import Keyring
    from session_store.settings import StoreSettings

PINGS: Final = 100
SLOW_MS: Final = 20.0
"""A p95 above this is felt: a returning participant waits for Redis several times."""
APART_MS: Final = 2000.0
_UNKNOWN: Final = "a" * 26
"""A pseudonym that no participant has, in the valid form."""
_COMPARE: Final = "compare this user's rules with deploy/redis/users.acl"


async def speed(node: Node, settings: StoreSettings) -> list[Finding]:
    """Measure a hundred round trips, and the difference of the clocks.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: no connection, or no answer in time.
    """
    times_ms, apart_ms = await round_trips(node, PINGS, settings.redis_timeout_s)
    return [latency(times_ms, settings), clock(apart_ms)]


async def round_trips(node: Node, pings: int, timeout_s: float) -> tuple[list[float], float]:
    """Return the time of each ping, and how far the server's clock is ahead, in ms.

    Raises:
        redis.exceptions.RedisError, OSError, TimeoutError: no connection, or no answer in time.
    """
    times_ms = []
    connection: Any = node.make_connection()  # Partly untyped in redis-py.
    try:
        async with asyncio.timeout(timeout_s + pings * SLOW_MS / 1000):
            await connection.connect()
            for _ in range(pings):
                begun = time.perf_counter()
                await connection.send_command("PING", check_health=False)
                await connection.read_response()
                times_ms.append((time.perf_counter() - begun) * 1000)
            before_s = time.time()
            await connection.send_command("TIME", check_health=False)
            server_ms = clock_ms_in(await connection.read_response())
            after_s = time.time()
    finally:
        await connection.disconnect(nowait=True)
    return times_ms, server_ms - (before_s + after_s) / 2 * 1000


def latency(times_ms: list[float], settings: StoreSettings) -> Finding:
    """Judge the round trips."""
    p50 = statistics.median(times_ms)
    p95 = statistics.quantiles(times_ms, n=20)[-1]
    says = f"p50 {p50:.2f} ms, p95 {p95:.2f} ms of {len(times_ms)} pings"
    near = "move Redis closer, or see what else runs there (SLOWLOG GET)"
    if p95 > settings.lease_renew_s * 1000:
        return fail("latency", f"{says}: leases run out before their renewal", near)
    if p95 > SLOW_MS:
        return warn("latency", f"{says}: a returning participant has to wait", near)
    return ok("latency", says)


def clock(apart_ms: float) -> Finding:
    """Judge how far the server's clock is from this machine's."""
    says = (
        f"Redis is {abs(apart_ms):.0f} ms {'ahead of' if apart_ms > 0 else 'behind'} this machine"
    )
    if abs(apart_ms) <= APART_MS:
        return ok("clock", says)
    return warn(
        "clock",
        f"{says}: deadlines are right, since all use Redis's clock, but turns and sessions show "
        "different times",
        "synchronise both with NTP",
    )


async def scripts(backend: RedisBackend) -> Finding:
    """Run a script that only reads, for an unknown participant."""
    try:
        await backend.load(_UNKNOWN, "none", last=0)
    except PermissionMissing as error:
        return fail("scripts", str(error), _COMPARE)
    except SessionStoreError as error:
        return fail("scripts", str(error), "see the other findings")
    return ok("scripts", "scripts run")


async def events(backend: RedisBackend, settings: StoreSettings) -> Finding:
    """Publish an event that no listener knows, and receive it."""
    channel = backend.space.events
    mark = orjson.dumps({"v": 1, "type": "doctor", "mark": secrets.token_hex(8)})
    try:
        async with (
            asyncio.timeout(2 * settings.redis_timeout_s),
            aclosing(backend.side.listen()) as heard,
        ):
            async for payload in heard:
                if payload == mark:
                    return ok("events", "published events are received")
                if payload is None:
                    await backend.transport.execute(channel, "PUBLISH", channel, mark)
    except TimeoutError:
        change = "check whether the nodes of this Redis reach each other"
        return fail("events", "published events are not received", change)
    except PermissionMissing as error:
        return fail("events", str(error), _COMPARE)
    except SessionStoreError as error:
        return fail("events", str(error), "see the other findings")
    raise AssertionError("the stream of events has no end")


async def check_values(backend: RedisBackend, keyring: Keyring) -> Finding:
    """Compare the keys with the key checks in Redis; writes none there."""
    try:
        stored = await backend.check_values({})
        keyring.verify_check_values(stored)
    except KeyringError as error:
        return fail("keys match", str(error), "use the keys that this Redis was written with")
    except SessionStoreError as error:
        return fail("keys match", str(error), _COMPARE)
    if not stored:
        return ok("keys match", "no program has written to this Redis yet")
    try:
        wrapped = await _wrapped_by_unknown(backend, keyring, stored)
    except SessionStoreError as error:
        return fail("keys match", str(error), _COMPARE)
    says = "this Redis was written with these keys"
    if rotated := [key_id for key_id, people in wrapped.items() if not people]:
        says += f" (rotated out: {', '.join(rotated)})"
    return lacking(wrapped) or ok("keys match", says)


async def missing_keys(backend: RedisBackend, keyring: Keyring) -> Finding | None:
    """Return a finding if key-encryption keys were lost, or removed from the keyring too early."""
    stored = await backend.check_values({})
    return lacking(await _wrapped_by_unknown(backend, keyring, stored))


def lacking(wrapped: Mapping[str, int]) -> Finding | None:
    """Judge the number of participants whose key the keyring lacks."""
    missing = {key_id: people for key_id, people in wrapped.items() if people}
    if not missing:
        return None
    people = ", ".join(f"{key_id} ({count})" for key_id, count in missing.items())
    return fail(
        "keys match",
        f"the keyring lacks keys; participants that need them: {people}; their conversations "
        "do not open",
        "give these keys back to every process, and rotate before you remove them",
    )


async def _wrapped_by_unknown(
    backend: RedisBackend, keyring: Keyring, stored: Iterable[str]
) -> dict[str, int]:
    """Count the participants of each key that the keyring lacks; key checks name all keys."""
    known = {"pseudonym", *(f"kek:{key_id}" for key_id in keyring.ids)}
    counts = {}
    for key_id in sorted(name.removeprefix("kek:") for name in set(stored) - known):
        keys = [backend.space.kek(shard, key_id) for shard in range(SHARDS)]
        counts[key_id] = sum(
            await backend.transport.execute_many([(key, ("SCARD", key)) for key in keys])
        )
    return counts
