"""What a job does if its session is gone: it was deleted, or the store came back empty.

A deleted session ends the conversation. A store that lost everything, as Redis does without a disk,
does not: the participant is still talking. Then the conversation goes on, and all that this job
knows of it is saved anew, under the same session id.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from session_store.errors import StoreRefused, StoreUnavailable
from session_store.tasks import KeptTasks, Outage
from session_store.upkeep.journal import ErasureJournal, JournalFailed
from session_store.writing.offline_start import CLOCKS_DIFFER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store.errors import SessionGone
    from session_store.livekit.job.conversation_parts import Parts

logger = logging.getLogger(__name__)


class EmptiedStore:
    """Tells a deleted session from an emptied store, once for each loss."""

    def __init__(
        self,
        parts: Parts,
        *,
        on_gone: Callable[[SessionGone], None],
        on_emptied: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            parts: of the conversation.
            on_gone: hears that the session was deleted, or its participant erased.
            on_emptied: hears that the store has lost everything.
        """
        self._parts = parts
        self._on_gone = on_gone
        self._on_emptied = on_emptied
        self._begun_ms = parts.writers.begun_ms
        self._is_asking = False
        self._tasks = KeptTasks(logger)

    def ask(self, gone: SessionGone) -> None:
        """Find out why the session is gone, in the background. A no-op while that is under way."""
        if not self._is_asking:
            self._is_asking = True
            self._tasks.spawn(self._find_out(gone))

    async def aclose(self) -> None:
        """Stop asking."""
        await self._tasks.aclose()

    async def _find_out(self, gone: SessionGone) -> None:
        try:
            is_emptied = await self._is_emptied() and not await self._was_erased()
        finally:
            self._is_asking = False
        if not is_emptied:
            self._on_gone(gone)
            return
        self._parts.log("the store has lost everything: this conversation is saved anew")
        self._on_emptied()

    async def _is_emptied(self) -> bool:
        writers, store = self._parts.writers, self._parts.setup.store
        outage = Outage(logger, "the look for a lost session", self._parts.session_id)
        while True:
            try:
                return await store.was_emptied(writers.lease.participant, writers.mark)
            except (StoreUnavailable, StoreRefused) as error:
                await outage.pause(error)

    async def _was_erased(self) -> bool:
        """Return whether the journal tells of an erasure since this job began."""
        setup = self._parts.setup
        if setup.settings.erasure_journal is None:
            return False
        try:
            journal = await ErasureJournal(setup.settings.erasure_journal).read(setup.store.keyring)
        except JournalFailed:
            return False  # Nothing was erased yet, on this machine.
        lease, since_ms = self._parts.writers.lease, self._begun_ms - CLOCKS_DIFFER_MS
        return any(
            noted.participant == lease.participant
            and noted.session_id in {"", lease.session_id}
            and noted.at > since_ms
            for noted in journal.entries
        )
