"""Everything that a job writes under one lease, and how the writing ends."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from session_store.errors import SessionStoreError
from session_store.livekit.job.drafts import Drafts
from session_store.livekit.job.transcript import Transcript
from session_store.livekit.job.visit_writer import VisitWriter
from session_store.tasks import reason_of
from session_store.values import newest_work
from session_store.writing.content_writer import ContentWriter
from session_store.writing.lease import LeaseKeeper
from session_store.writing.offline_start import SpooledStart, begin, bring_in, find_session
from session_store.writing.recorder import Recorder
from session_store.writing.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_store.livekit.job.conversation_setup import Setup
    from session_store.livekit.job.entry import Entry
    from session_store.livekit.job.page_channel import PageChannel
    from session_store.models import RecordedTurn
    from session_store.settings import StoreSettings
    from session_store.values import Arrival, Joined, SealedTurn
    from session_store.writing.offline_start import OfflineStart

logger = logging.getLogger(__name__)

FLUSH_S: Final = 3.0
"""How long the end of a job waits for the store; supervisors allow about 5 s."""


class LeaseWriters:
    """The writers of one lease. What they report to the page goes through ``channel``."""

    def __init__(
        self,
        setup: Setup,
        entry: Entry,
        channel: PageChannel,
        *,
        on_lost: Callable[[SessionStoreError], None],
        on_arrived: Callable[[Arrival], None],
    ) -> None:
        """Make the writers, and record what the job before could not.

        Args:
            setup: of the conversation: the store, and its settings.
            entry: the join, or the beginning without the store.
            channel: the page.
            on_lost: hears once that nothing can be written any more. No hook may block or raise.
            on_arrived: hears of each arrival that was written.
        """
        store, settings, lease = setup.store, setup.settings, entry.joined.lease
        self._store = store
        self._offline_start = entry.offline_start
        self.begun_ms: Final = time.time_ns() // 1_000_000
        """When this job began to write, by this machine's clock."""
        self.mark = entry.joined.mark
        """See ``SessionStore.was_emptied``."""
        self._scope = setup.scope
        self._kept_state = setup.kept_state
        self.lease: Final = lease
        self.recorder: Final = Recorder(
            store,
            lease,
            on_saved=channel.saved,
            on_lost=on_lost,
            max_bytes=settings.recorder_max_bytes,
        )
        if setup.kept_state.error is not None:
            self.recorder.work_unread()
        self.drafts: Final = Drafts(store, lease)
        self.transcript: Final = Transcript(
            self.recorder,
            channel,
            lease,
            entry.joined.turns,
            self.drafts,
            state=setup.kept_state.dump,
        )
        self.content: Final = ContentWriter(store, lease, self.recorder)
        self.visits: Final = VisitWriter(store, lease, on_arrived=on_arrived)
        self._spool = _spool_of(settings)
        self._keeper = LeaseKeeper(store, lease, every_s=settings.lease_renew_s, on_lost=on_lost)
        if lease.granted:
            self._keeper.start()
        self.transcript.make_good(entry.joined.drafts)

    @property
    def has_lease(self) -> bool:
        """Whether this job holds the lease, as far as the store has answered lately."""
        return self.lease.granted and not self._keeper.is_away

    def adopt(self, joined: Joined) -> tuple[RecordedTurn, ...]:
        """Continue under a lease that was granted late; return what was said before.

        See ``session_store.writing.offline_start``. Nothing is written in between.
        """
        self._offline_start = None
        self.mark = joined.mark
        is_loaded = self._kept_state.load_late(joined.work)
        said_here = self.recorder.withdraw(forgets_work=is_loaded)
        self.lease.adopt(joined.lease)
        self.content.renew()
        self.transcript.adopt(joined.turns)
        self.transcript.make_good(joined.drafts)
        before = self.transcript.turns
        known = {recorded.turn.id for recorded in before}
        self.transcript.adopt(before, self.recorder.renumber(said_here, known))
        self._keeper.start()
        return before

    def begin_again(self) -> OfflineStart:
        """Begin anew, under the same session id, with all turns that are known here.

        For a store that has lost everything. Until a late join, this is as a start without the
        store; see ``session_store.writing.offline_start``.
        """
        participant, session_id = self.lease.participant, self.lease.session_id
        start, joined = begin(
            self._store, participant, session_id, self.lease.ref.owner, scope=self._scope
        )
        self._offline_start, self.mark = start, ""
        self.lease.adopt(joined.lease)
        turns = [recorded.turn for recorded in self.transcript.turns]
        self.transcript.adopt((), self.recorder.begin_again(turns))
        self.content.begin_again()
        self.drafts.begin_again()
        return start

    async def flush(self) -> bool:
        """Wait some seconds until all is written; return whether it was."""
        await self.visits.aclose()
        return await self.recorder.flush(FLUSH_S) and await self.content.flush(FLUSH_S)

    async def give_back(self, *, present: bool) -> None:
        """Give the lease back, after a flush.

        Args:
            present: whether the participant is still in the room, and so has not left.
        """
        try:
            async with asyncio.timeout(FLUSH_S):
                await self.drafts.give_up(has_left=not present)
                if not present:
                    await self._store.leave(self.lease)
                await self._store.release(self.lease)
        except (SessionStoreError, TimeoutError) as error:
            extra = {"error": str(error)}
            logger.warning("the lease was not given back: it runs out by itself", extra=extra)

    async def finish(self) -> bool:
        """End the session in the store, after a flush; return whether the store knows it."""
        if not self.lease.granted:
            return False  # It may be another job's.
        try:
            async with asyncio.timeout(FLUSH_S):
                await self.drafts.give_up(has_left=True)
                await self._close()
        except (SessionStoreError, TimeoutError) as error:
            extra = {"session_id": self.lease.session_id, "error": str(error)}
            logger.warning("the store does not know that the conversation has ended", extra=extra)
            return False
        return True

    async def _close(self) -> None:
        """End the session, unless another job has taken its lease since."""
        ref = self.lease.ref
        await self._store.close(ref.participant, ref.session_id, fence=ref.fence)

    async def stop(self) -> None:
        """Stop writing."""
        await self._keeper.aclose()
        await self.drafts.aclose()
        await self.recorder.aclose()
        await self.content.aclose()
        await self.visits.aclose()

    async def leave_unsaved(self, *, finished: bool = False) -> None:
        """Leave what the store did not take under this lease in the spool, to be saved later.

        Args:
            finished: the program has ended the session, which the store does not know.
        """
        turns, content = self.recorder.unsaved(), self.content.unsaved()
        if not turns and content is None and not finished:
            return
        extra = {"session_id": self.lease.session_id, "turns": len(turns)}
        try:
            if self._offline_start is not None:
                sealed = content and content.sealed
                left = SpooledStart(
                    self._offline_start,
                    tuple(turn.sealed for turn in turns),
                    sealed,
                    work=newest_work(turns),
                )
                await self._leave_begun(left, extra)
            elif self._spool is not None:
                self._spool.write(self.lease.ref, turns, content, finished=finished)
                self._store.meter.turns_spooled(len(turns))
                logger.warning("unsaved turns are left in the spool", extra=extra)
            else:
                await self._leave_late(turns, extra, loses_content=content is not None)
                if finished:
                    await self._close()
        except (SessionStoreError, TimeoutError, OSError) as error:
            reason = reason_of(error)
            self._store.meter.turns_lost(len(turns))
            logger.error("turns are lost; see REJOIN_SPOOL_DIR", extra={**extra, "reason": reason})  # noqa: TRY400 (the trace tells nothing more)

    async def _leave_begun(self, left: SpooledStart, extra: dict[str, Any]) -> None:
        if self._spool is not None:
            self._spool.write_start(left)
            self._store.meter.turns_spooled(len(left.turns))
            logger.warning("a conversation that was never saved is in the spool", extra=extra)
            return
        async with asyncio.timeout(FLUSH_S):
            into = await find_session(self._store, left.start)
            became = await bring_in(self._store, replace(left, into=into))
        self._store.meter.turns_replayed(became, len(left.turns))

    async def _leave_late(
        self, turns: Sequence[SealedTurn], extra: dict[str, Any], *, loses_content: bool
    ) -> None:
        """Save late turns without a spool: after a lost lease, the store is usually reachable."""
        async with asyncio.timeout(FLUSH_S):
            became = await self._store.replay(self.lease.ref, turns)
        self._store.meter.turns_replayed(became, len(turns))
        if loses_content:
            logger.error("a change of the content is lost; see REJOIN_SPOOL_DIR", extra=extra)


def _spool_of(settings: StoreSettings) -> Spool | None:
    if settings.spool_dir is None:
        return None
    return Spool(settings.spool_dir, retention=timedelta(seconds=settings.retention_s))
