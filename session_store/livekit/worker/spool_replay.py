"""Replay of the spool: saves the turns of jobs that ended while the store was unreachable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from session_store.errors import SessionStoreError
from session_store.store import SessionStore
from session_store.writing.spool import Spool, keep_replaying

if TYPE_CHECKING:
    from pathlib import Path

    from session_store.meter import Meter
    from session_store.settings import StoreSettings

LAST_REPLAY_S: Final = 2.0
"""How long the last replay, at the end of the worker, may take."""


async def replay_spool(settings: StoreSettings, folder: Path, meter: Meter) -> None:
    """Replay a spool folder at once, then again and again until cancelled, and a last time then.

    A store that is unreachable at the start is fine: its turns are saved once it is back. Any
    number of processes may replay the same folder.

    Args:
        settings: how to reach the store, and for how long records are kept.
        folder: the spool of this machine's jobs.
        meter: counts the turns that are saved.
    """
    retention = timedelta(seconds=settings.retention_s)
    store = SessionStore.from_settings(settings)
    store.measure(meter)
    try:
        await keep_replaying(store, folder, retention=retention)
    finally:
        # The last jobs ended a moment ago, and the folder may vanish with this container.
        with suppress(SessionStoreError, TimeoutError, OSError):
            async with asyncio.timeout(LAST_REPLAY_S):
                await Spool(folder, retention=retention).replay(store)
        await store.aclose()
