"""An audit of records that cannot be opened: ids only, and each session once."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from session_store.errors import SessionStoreError
from session_store.tasks import KeptTasks
from session_store.upkeep.audit import MAX_FIELD_CHARS, AuditAction

if TYPE_CHECKING:
    from session_store.events import SealFailure
    from session_store.upkeep.audit import AuditLog

logger = logging.getLogger(__name__)

MAX_NOTED: Final = 10_000
"""Failures that are remembered; with more, an old one may be audited a second time."""
END_WITHIN_S: Final = 2.0


class SealAudit:
    """A ``SealHook`` that audits broken seals in the background.

    Each session is audited once per process: a page retries, and would push all other entries out
    of the stream. Best effort: while the store is unreachable, nothing is noted.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._tasks = KeptTasks(logger)
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._noted: dict[tuple[str, str, str], None] = {}

    def on_seal_failure(self, failure: SealFailure) -> None:
        """See ``SealHook.on_seal_failure``."""
        name = (failure.participant, failure.session_id, type(failure.error).__name__)
        if name in self._noted:
            return
        self._noted[name] = None
        if len(self._noted) > MAX_NOTED:
            self._noted.pop(next(iter(self._noted)))
        task = self._tasks.spawn(self._log(failure, name))
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)

    async def aclose(self) -> None:
        """Wait a moment for entries that are being written."""
        if self._on_their_way:
            await asyncio.wait(self._on_their_way, timeout=END_WITHIN_S)
        await self._tasks.aclose()

    async def _log(self, failure: SealFailure, name: tuple[str, str, str]) -> None:
        try:
            await self._audit.log(
                AuditAction.SEAL_FAILURE,
                participant=failure.participant,
                session_id=failure.session_id,
                detail=str(failure.error)[:MAX_FIELD_CHARS],
            )
        except SessionStoreError:
            self._noted.pop(name, None)
