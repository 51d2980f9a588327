"""Write-behind of a session's content: a change counts at once, and is retried until it is written.

Other processes may change the content too, without a lease: a title, for example. So changes wait
here, not their outcome. They are applied again to what the store has then, and both survive.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from session_store.errors import (
    InvalidValue,
    LeaseLost,
    SequenceGap,
    SessionGone,
)
from session_store.sealing.schema import write_content
from session_store.tasks import LONGEST_RETRY_S, Loop, Outage, happens_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from session_store.models import SessionContent
    from session_store.store import SessionStore
    from session_store.values import Lease
    from session_store.writing.recorder import Recorder

    Change: TypeAlias = Callable[[SessionContent], SessionContent]

logger = logging.getLogger(__name__)


class SealedContent(NamedTuple):
    """Content that was not written, for a spool."""

    version: int
    """Which version it replaces; of a newer one, it must not."""
    sealed: bytes
    """As the version after it."""


class ContentWriter:
    """Keeps the content of one lease, in memory at once and in the store soon after."""

    def __init__(self, store: SessionStore, lease: Lease, recorder: Recorder) -> None:
        """Make a writer.

        Args:
            store: where the content goes.
            lease: no other writer may change content under it.
            recorder: of the same lease. The content is a witness of the newest turn, so that
                turns which a failover took back must be there again before it.
        """
        self._store = store
        self._lease = lease
        self._recorder = recorder
        self._seen = lease.content
        """What the store had when ``_content`` was made from it."""
        self._content = lease.content
        self._pending: list[Change] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = Loop(self._write, name="content-writer")
        self._over = False

    @property
    def content(self) -> SessionContent:
        """The current content, with changes that are not written yet."""
        return self._content

    @property
    def waiting(self) -> int:
        """How many changes the store has not acknowledged yet."""
        return len(self._pending)

    def change(self, change: Change) -> None:
        """Change the content. Never blocks; a change without effect is a no-op.

        Args:
            change: makes new content from old. It may be called again, on newer content.
        """
        changed = change(self._content)
        if changed == self._content:
            return
        self._content = changed
        self._pending.append(change)
        if self._over:
            return
        self._idle.clear()
        self._loop.start()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is written; return whether that happened within ``timeout_s``."""
        return await happens_within(self._idle, timeout_s) and not self._pending

    def unsaved(self) -> SealedContent | None:
        """Return the content sealed for a spool; ``None`` if the store has all of it."""
        if not self._pending:
            return None
        lease = self._lease
        # The newest known version: a failed write may have read a newer one.
        content = _apply(self._pending, lease.content)
        # Until it is written, a failover may have replaced the turn that it would name.
        content = content.model_copy(update={"witness": None})
        try:
            plain = write_content(content)
        except InvalidValue:
            return None
        sealed = lease.data_key.seal_content(lease.session_id, lease.version + 1, plain)
        return SealedContent(lease.version, sealed)

    def renew(self) -> None:
        """Apply the changes that wait to what the store has, after the lease was granted late."""
        self._seen = self._lease.content
        self._content = _apply(self._pending, self._seen)

    def begin_again(self) -> None:
        """Let all of the content wait to be written, to a store that has lost everything."""
        kept = self._content.model_copy(update={"witness": None})
        self._seen = self._lease.content
        self._pending = [lambda _: kept]
        self._content, self._over = kept, False
        self._idle.clear()
        self._loop.start()

    async def aclose(self) -> None:
        """Stop writing. ``flush`` first; changes that still wait are ``unsaved``."""
        self._over = True
        await self._loop.aclose()
        self._idle.set()

    async def _write(self) -> None:
        outage = Outage(logger, "content", self._lease.session_id)
        one_by_one = False
        while self._pending and not self._over:
            taken = self._pending[:1] if one_by_one else self._pending[:]
            try:
                await self._store.update(self._lease, self._changed_by(taken))
            except (LeaseLost, SessionGone):
                self._over = True  # The lease keeper reports it.
            except SequenceGap as gap:
                self._over = not self._recorder.resend_after(gap.current)
                if not await self._recorder.saved(self._lease.saved_seq, LONGEST_RETRY_S):
                    await outage.pause(gap)
            except InvalidValue as error:
                one_by_one = len(taken) > 1
                if not one_by_one:
                    logger.warning("a change of the content is undone", extra={"error": str(error)})
                    self._drop(taken)
            except Exception as error:  # noqa: BLE001 (after any failure the changes must be kept)
                await outage.pause(error, changes=self.waiting)
            else:
                outage.over()
                self._drop(taken)
        self._idle.set()

    def _changed_by(self, taken: Iterable[Change]) -> Change:
        """Join changes to one. It costs nothing if the store has the content that was read last."""
        seen, content = self._seen, self._content

        def changed(stored: SessionContent) -> SessionContent:
            if stored is seen and taken == self._pending:
                return content
            return _apply(taken, stored)

        return changed

    def _drop(self, taken: list[Change]) -> None:
        del self._pending[: len(taken)]
        self._seen = self._lease.content
        self._content = _apply(self._pending, self._seen)


def _apply(changes: Iterable[Change], content: SessionContent) -> SessionContent:
    for change in changes:
        content = change(content)
    return content
