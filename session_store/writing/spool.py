"""A folder where jobs that must end leave what the store did not take, until it does.

One file per lease holds sealed records and ids: nothing in it tells what was said. Any process of
the machine may replay it, several at once, and twice: the store knows which turns it has.

A conversation that never reached the store is dropped once it is older than the retention: its
words must not come up after everything around them has expired.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from session_store.errors import InvalidValue, SessionGone, StoreRefused, StoreUnavailable
from session_store.keys import DEFAULT_RETENTION
from session_store.tasks import reason_of, repeat
from session_store.values import Replayed, batches_of, settled_by
from session_store.writing import spool_files
from session_store.writing.offline_start import SpooledStart, bring_in, find_session
from session_store.writing.spool_format import (
    DamagedFileError,
    NewerFileError,
    SpooledJob,
    packed_job,
    packed_start,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from session_store.backends.values import LeaseRef
    from session_store.meter import Meter
    from session_store.store import SessionStore
    from session_store.values import SealedTurn
    from session_store.writing.content_writer import SealedContent

logger = logging.getLogger(__name__)

REPLAY_EVERY_S: Final = 2.0
"""An empty folder costs one look at it, and no call to the store."""


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """What a replay did."""

    appended: int = 0
    """Turns that continue the record: no other job had taken the session."""
    late: int = 0
    """Turns that were kept beside the record of a successor."""
    contents: int = 0
    """Changes of a session's content that were written."""
    outdated: int = 0
    """Changes of a session's content that were dropped: a successor has changed it."""
    finished: int = 0
    """Sessions that were ended: the program had done so while the store was unreachable."""
    erased: int = 0
    """Turns that were dropped: their session was erased or has expired."""
    kept: int = 0
    """Files that wait: the store is unreachable, or a key is missing."""
    newer: int = 0
    """Files that wait for a newer version of this library."""
    damaged: int = 0
    """Files that were renamed to ``*.damaged``."""

    def __add__(self, other: SpoolReport) -> SpoolReport:
        names = [counter.name for counter in fields(self)]
        return SpoolReport(*(getattr(self, name) + getattr(other, name) for name in names))


class Spool:
    """Files of a folder that is made, for this user alone, when it is needed.

    Args:
        folder: where the files are.
        retention: how old a conversation may be that never reached the store.
    """

    def __init__(self, folder: Path, *, retention: timedelta = DEFAULT_RETENTION) -> None:
        self._folder = folder
        self._retention = retention
        self._told: set[str] = set()

    def write(
        self,
        lease: LeaseRef,
        turns: Sequence[SealedTurn],
        content: SealedContent | None = None,
        *,
        finished: bool = False,
    ) -> None:
        """Leave turns, in order, and the content that goes with them. Nothing is a no-op.

        It is on the disk when this returns.

        Args:
            lease: under which they were recorded.
            turns: in order, with what the program worked on.
            content: the newest.
            finished: the program has ended the session, which the store does not know.

        Raises:
            OSError: the disk is full, say. Nothing is left behind.
        """
        if turns or content is not None or finished:
            first_seq = turns[0].seq if turns else 0
            # Files of a lease sort by their turns.
            name = f"{lease.session_id}-{lease.fence}-{first_seq:010d}"
            job = SpooledJob(lease, tuple(turns), content, settled_by(turns), finished)
            spool_files.write_new(self._folder, name, packed_job(job))

    def write_start(self, spooled: SpooledStart) -> None:
        """Leave a conversation that never reached the store. Raises as ``write``."""
        if spooled.turns or spooled.content is not None:
            name = f"{spooled.start.session_id}-{spooled.start.begun_ms}"
            spool_files.write_new(self._folder, name, packed_start(spooled))

    async def replay(self, store: SessionStore) -> SpoolReport:
        """Bring what was left into the store; what it took is deleted.

        A file that another process is replaying is passed over.
        """
        report = SpoolReport()
        for path in await asyncio.to_thread(self._settled):
            try:
                report += await self._replay_file(store, path)
            except (StoreUnavailable, StoreRefused):
                # All other files would fail too.
                waiting = len(await asyncio.to_thread(spool_files.finished, self._folder))
                return report + SpoolReport(kept=waiting - report.kept - report.newer)
        return report

    def _settled(self) -> list[Path]:
        """List the files, those of dead writers included."""
        spool_files.finish(self._folder, _is_whole)
        return spool_files.finished(self._folder)

    async def _replay_file(self, store: SessionStore, path: Path) -> SpoolReport:
        with spool_files.claimed(path) as file:
            if file is None:
                return SpoolReport()
            try:
                spooled = unpacked(await asyncio.to_thread(file.read))
                if isinstance(spooled, SpooledStart):
                    report = await self._replay_start(store, path, spooled)
                else:
                    report = await _replay_job(store, spooled)
            except (DamagedFileError, InvalidValue):
                _set_aside(path)
                return SpoolReport(damaged=1)
            except NewerFileError:
                self._tell(path, "it has a newer format")
                return SpoolReport(newer=1)
            except (StoreUnavailable, StoreRefused):
                raise
            except Exception as error:  # noqa: BLE001 (one file must not hold back the others)
                self._tell(path, reason_of(error))
                return SpoolReport(kept=1)
            _delete(path)
            _measure(store.meter, report)
            return report

    async def _replay_start(
        self, store: SessionStore, path: Path, spooled: SpooledStart
    ) -> SpoolReport:
        dropped = SpoolReport(erased=len(spooled.turns))
        age_s = time.time() - spooled.start.begun_ms / 1000
        if age_s > self._retention.total_seconds():
            return dropped
        if spooled.into is None:
            try:
                into = await find_session(store, spooled.start)
            except SessionGone:
                return dropped
            spooled = replace(spooled, into=into)
            # Before the first turn: a repetition must not choose another session.
            spool_files.write(path, packed_start(spooled))
        if await bring_in(store, spooled) is Replayed.ERASED:
            return dropped
        return SpoolReport(late=len(spooled.turns), contents=int(spooled.content is not None))

    def _tell(self, path: Path, reason: str) -> None:
        """Log why a file waits, once."""
        if path.name not in self._told:
            self._told.add(path.name)
            logger.warning("a spool file waits", extra={"file": path.name, "reason": reason})


async def keep_replaying(
    store: SessionStore,
    folder: Path,
    *,
    every_s: float = REPLAY_EVERY_S,
    retention: timedelta = DEFAULT_RETENTION,
) -> None:
    """Replay the files of a folder every few seconds, until this is cancelled."""
    spool = Spool(folder, retention=retention)
    before = SpoolReport()

    async def replay() -> None:
        nonlocal before
        try:
            report = await spool.replay(store)
        except OSError as error:
            logger.warning("the spool cannot be read", extra={"error": error.strerror})
            return
        store.meter.spool_files(report.kept + report.newer)
        if report not in (before, SpoolReport()):
            logger.info("the spool was replayed", extra=asdict(report))
        before = report

    await repeat(every_s, replay, name="spool")


async def _replay_job(store: SessionStore, job: SpooledJob) -> SpoolReport:
    counts = dict.fromkeys(Replayed, 0)
    for batch in batches_of(job.turns):
        counts[await store.replay(job.lease, batch, settles=job.settles)] += len(batch)
    report = SpoolReport(
        appended=counts[Replayed.APPENDED],
        late=counts[Replayed.LATE],
        erased=counts[Replayed.ERASED],
    )
    if job.content is not None and not report.erased:
        content = job.content
        is_written = await store.replay_content(job.lease, content.version, content.sealed)
        report += SpoolReport(contents=1) if is_written else SpoolReport(outdated=1)
    # At the end, since nothing continues the record of a session that has ended.
    lease = job.lease
    if job.finished and await store.close(lease.participant, lease.session_id, fence=lease.fence):
        report += SpoolReport(finished=1)
    return report


def _measure(meter: Meter, report: SpoolReport) -> None:
    meter.turns_replayed(Replayed.APPENDED, report.appended)
    meter.turns_replayed(Replayed.LATE, report.late)
    meter.turns_replayed(Replayed.ERASED, report.erased)


def _is_whole(data: bytes) -> bool | None:
    """Return whether a file was written to its end; ``None`` for a newer format."""
    try:
        unpacked(data)
    except DamagedFileError:
        return False
    except NewerFileError:
        return None
    return True


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".damaged")
    path.rename(aside)
    logger.error("a spool file is damaged; it was set aside", extra={"file": aside.name})


def _delete(path: Path) -> None:
    path.unlink()
