"""Observers of a process's store: counts by day, an audit of broken seals, metrics."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from session_store.meter import NO_METER
from session_store.upkeep.analytics import Analytics
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.seal_audit import SealAudit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store.meter import Meter
    from session_store.store import SessionStore


@asynccontextmanager
async def watched(
    store: SessionStore, *, actor: str, meter: Meter = NO_METER
) -> AsyncIterator[SessionStore]:
    """Count, audit and measure what this process does with the store, within the block.

    The counts are written before the block ends, so leave it before you close the store.

    Args:
        store: the store.
        actor: the name of this process in the audit: ``agent``, ``gateway``.
        meter: also measures the store, for example ``session_store.metrics.sink``.
    """
    analytics = Analytics(store.side, name=partial(store.keyring.fingerprint, "count"))
    seals = SealAudit(AuditLog(store.side, store.keyring, actor=actor))
    store.add_hook(analytics)
    store.add_seal_hook(seals)
    if meter is not NO_METER:
        store.measure(meter)
    try:
        yield store
    finally:
        await seals.aclose()
        await analytics.aclose()
