"""One report about everything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from session_store.backends.transport.refusals import error_of
from session_store.doctor.finding import Finding, Verdict, fail, merged
from session_store.errors import SessionStoreError
from session_store.monitor import checks
from session_store.monitor.deadlines import SessionsNow, sessions_now
from session_store.monitor.servers import ServerNow, server_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.redis.backend import RedisBackend
    from session_store.backends.transport.node import Node
    from session_store.settings import StoreSettings

_WORST_FIRST = (Verdict.FAIL, Verdict.WARN, Verdict.OK)


@dataclass(frozen=True, slots=True)
class Report:
    """Figures and findings of one look."""

    at: datetime
    findings: Sequence[Finding]
    servers: Sequence[ServerNow]
    """The primaries that answered."""
    sessions: SessionsNow | None
    """``None`` if they could not be read."""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the findings."""
        found = {finding.verdict for finding in self.findings}
        return next(verdict for verdict in _WORST_FIRST if verdict in found)


async def look(backend: RedisBackend, settings: StoreSettings) -> Report:
    """Look at every primary and at all deadlines. Changes nothing and does not raise."""
    at = datetime.now(UTC)
    try:
        await backend.ping()
        sessions = await sessions_now(backend, settings.lease_s)
    except SessionStoreError as error:
        away = fail(
            "redis", str(error), "check whether it runs, and whether this machine can reach it"
        )
        return Report(at, [away], [], None)
    seen = await asyncio.gather(
        *(_server(node, settings) for node in backend.transport.topology.nodes())
    )
    by_server = [(where, findings) for where, findings, _ in seen]
    return Report(
        at,
        [*merged(by_server), *checks.of_sessions(sessions)],
        [server for _, _, server in seen if server is not None],
        sessions,
    )


async def _server(
    node: Node, settings: StoreSettings
) -> tuple[str, list[Finding], ServerNow | None]:
    try:
        now = await server_now(node, settings.redis_timeout_s)
    except (RedisError, OSError) as error:
        says = str(error_of(error, node.name))
        return node.name, [fail("redis", says, "check whether it is overloaded")], None
    return node.name, list(checks.of_server(now, settings)), now
