"""The checks of a Redis and its settings."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from session_store.backends.redis.backend import RedisBackend
from session_store.backends.transport.refusals import error_of
from session_store.doctor import local, probes, server
from session_store.doctor.finding import Finding, Verdict, fail, merged, ok, warn
from session_store.doctor.import_name import import_name
from session_store.errors import SessionStoreError
from session_store.redis_address import Kind

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from session_store.backends.transport.node import Node
    from session_store.sealing.keyring import Keyring
    from session_store.settings import StoreSettings

QUICK_WITHIN_S: Final = 3.0


async def examine(settings: StoreSettings) -> list[Finding]:
    """Check everything that these settings name. Takes about a second and changes nothing."""
    keyring, findings = local.keys(settings)
    here = [*findings, local.spool(settings), local.journal(settings), import_name()]
    if settings.redis_address.kind is Kind.MEMORY:
        says = "memory:// keeps everything in one process, and loses it when that process ends"
        return [warn("redis", says, "set REJOIN_REDIS_URL to a Redis"), *here]
    try:
        backend = RedisBackend.from_settings(settings)
    except SessionStoreError as error:
        return [fail("redis", str(error), "correct these settings"), *here]
    try:
        return [*await _redis(backend, settings, keyring), *here]
    finally:
        await backend.aclose()


async def quick(backend: Backend, keyring: Keyring) -> list[Finding]:
    """Return the faults that silently lose conversations, for a warning at the start of a process.

    Never raises, and takes six seconds at most. Empty if all is well, if Redis is unreachable
    (other parts report that), and for a store that is not in Redis.
    """
    if not isinstance(backend, RedisBackend):
        return []
    try:
        async with asyncio.timeout(QUICK_WITHIN_S):
            await backend.ping()
            nodes = backend.transport.topology.nodes()
            all_facts = [await server.info_of(node, QUICK_WITHIN_S) for node in nodes]
    except (SessionStoreError, RedisError, OSError):
        return []
    findings = merged(
        (facts.where, [server.eviction(facts), server.persistence(facts)])
        for facts in all_facts
        if facts.info
    )
    unwell = [finding for finding in findings if finding.verdict is not Verdict.OK]
    with suppress(SessionStoreError, TimeoutError):
        async with asyncio.timeout(QUICK_WITHIN_S):
            if missing := await probes.missing_keys(backend, keyring):
                unwell.append(missing)
    return unwell


async def _redis(
    backend: RedisBackend, settings: StoreSettings, keyring: Keyring | None
) -> list[Finding]:
    try:
        await backend.ping()
    except SessionStoreError as error:
        return [fail("redis", str(error), "start with this; the other checks need it")]
    nodes = backend.transport.topology.nodes()
    by_server = [(node.name, await _server(node, settings)) for node in nodes]
    findings = [
        ok("redis", f"{settings.redis_address} answers"),
        *merged(by_server),
        await probes.scripts(backend),
        await probes.events(backend, settings),
    ]
    if keyring is not None:
        findings.append(await probes.check_values(backend, keyring))
    return findings


async def _server(node: Node, settings: StoreSettings) -> list[Finding]:
    try:
        facts = await server.facts_of(node, settings.redis_timeout_s)
        return [*server.checks_of(facts, settings), *await probes.speed(node, settings)]
    except (RedisError, OSError) as error:
        return [fail("redis", str(error_of(error, node.name)), "check whether it is overloaded")]
