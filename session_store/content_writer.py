"""Write-behind of a session's content: the newest state wins, and it is written until it is in.

Only the lease holder writes content, so what it has in memory is the truth; while the store is
away, changes gather here and go out as one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from session_store.errors import InvalidValue, LeaseLost, SessionGone, SessionStoreError
from session_store.recorder import FIRST_RETRY_S, LONGEST_RETRY_S
from session_store.tasks import happens_within, stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.models import SessionContent
    from session_store.store import Lease, SessionStore

logger = logging.getLogger(__name__)


class ContentWriter:
    """Keeps the content of one lease, in memory at once and in the store soon after."""

    def __init__(self, store: SessionStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._content = lease.content
        self._dirty = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def content(self) -> SessionContent:
        """The content as it is now, whether written yet or not."""
        return self._content

    def change(self, change: Callable[[SessionContent], SessionContent]) -> None:
        """Change the content. Never blocks; a change to the same is a no-op."""
        changed = change(self._content)
        if changed == self._content:
            return
        self._content = changed
        self._dirty = True
        self._idle.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="content-writer")

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; answer whether it was, within ``timeout_s``."""
        return await happens_within(self._idle, timeout_s)

    async def aclose(self) -> None:
        """Stop writing. What still waits is gone: ``flush`` first."""
        await stop(self._task)

    def _newest(self, _stored: SessionContent) -> SessionContent:
        return self._content

    async def _write(self) -> None:
        retry_s = FIRST_RETRY_S
        while self._dirty:
            self._dirty = False
            try:
                await self._store.update(self._lease, self._newest)
            except (LeaseLost, SessionGone):
                break  # The keeper of the lease says so to those who must know.
            except InvalidValue as error:
                logger.warning("a change of the content is undone", extra={"error": str(error)})
                self._content = self._lease.content
            except SessionStoreError as error:
                logger.warning("content is waiting for the store", extra={"error": str(error)})
                self._dirty = True
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)
        self._idle.set()
