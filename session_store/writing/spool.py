"""A folder where jobs that must end leave what the store did not take, until it does.

One file per lease, made at once or not at all, holds sealed records and ids: nothing in it tells
what was said. Any process of the machine may replay it, several at once, and twice: the store
knows what it has already.

A file is one line of JSON behind one that names the format; bytes are in base64::

    rejoin-spool 1 <SHA-256 of the line that follows, in hex>
    {"lease": {...}, "turns": [[seq, tag before, sealed], ...], "content": [version, sealed],
     "settles": {role: number of the newest draft that these turns replace}}

Version 2 holds a conversation that never reached the store (``writing.offline_start``)::

    {"beginning": {...}, "turns": [sealed, ...], "content": sealed, "into": session id}

A conversation that is older than what is kept at all is dropped: its words were never in the
store, and must not come up after the retention of everything around them.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import logging
import os
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.backends.values import LeaseRef
from session_store.errors import (
    InvalidValue,
    SequenceGap,
    SessionGone,
    StoreRefused,
    StoreUnavailable,
    WriteConflict,
)
from session_store.keys import DEFAULT_RETENTION
from session_store.sealing.crypto import WrappedKey
from session_store.tasks import reason_of, repeat
from session_store.values import Replayed, SealedTurn, settled_by
from session_store.writing.content_writer import SealedContent
from session_store.writing.offline_start import Beginning, LeftBegun, bring_in, find_session
from session_store.writing.recorder import batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta
    from io import BufferedReader
    from pathlib import Path

    from session_store.meter import Meter
    from session_store.store import SessionStore

logger = logging.getLogger(__name__)

VERSION: Final = 1
VERSION_BEGUN: Final = 2
"""Of conversations that never reached the store."""
REPLAY_EVERY_S: Final = 2.0
"""An empty folder costs one look at it, and no call to the store."""

_FIRST_LINE: Final = re.compile(rb"rejoin-spool ([0-9]{1,9}) ([0-9a-f]{64})\n")
_BEGINNING: Final = ("participant", "session_id", "exact", "begun_ms")
_LEFT: Final = "*.spool"
_UNFINISHED: Final = ".*.spool.tmp"


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """What a replay came to."""

    appended: int = 0
    """Turns that continue the record: nobody had taken the session."""
    late: int = 0
    """Turns that came in beside the record of a successor."""
    contents: int = 0
    """Changes of a session's content that were written."""
    outdated: int = 0
    """Changes of a session's content that were dropped: a successor has written its own."""
    erased: int = 0
    """Turns that were dropped, because their session was erased or has expired."""
    kept: int = 0
    """Files that wait: the store is away, or lacks a key."""
    newer: int = 0
    """Files that wait for a newer version of this library."""
    damaged: int = 0
    """Files that were set aside as ``*.damaged``."""

    def __add__(self, other: SpoolReport) -> SpoolReport:
        names = [each.name for each in fields(self)]
        return SpoolReport(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class Left:
    """What one job left."""

    lease: LeaseRef
    turns: tuple[SealedTurn, ...]
    content: SealedContent | None
    settles: Mapping[str, int]
    """By role, the number of the newest draft that these turns replace."""


class _Damaged(Exception):
    """A file is not what was written."""


class _Newer(Exception):
    """A file has a version that is not known here."""


class Spool:
    """Files of a folder that is made, for this user alone, when it is needed.

    Args:
        folder: where.
        retention: how old a conversation may be that never reached the store.
    """

    def __init__(self, folder: Path, *, retention: timedelta = DEFAULT_RETENTION) -> None:
        self._folder = folder
        self._retention = retention
        self._told: set[str] = set()

    def write(
        self, lease: LeaseRef, turns: Sequence[SealedTurn], content: SealedContent | None = None
    ) -> None:
        """Leave turns, in order, and the content that goes with them. Nothing is a no-op.

        It is on the disk when this returns.

        Raises:
            OSError: the disk is full, say. Nothing is left behind.
        """
        if turns or content is not None:
            first_seq = turns[0].seq if turns else 0
            # Files of a lease sort by their turns.
            name = f"{lease.session_id}-{lease.fence}-{first_seq:010d}"
            self._write(name, _packed(Left(lease, tuple(turns), content, settled_by(turns))))

    def write_begun(self, left: LeftBegun) -> None:
        """Leave a conversation that never reached the store. Raises as ``write``."""
        if left.turns or left.content is not None:
            beginning = left.beginning
            self._write(f"{beginning.session_id}-{beginning.begun_ms}", _packed_begun(left))

    def _write(self, name: str, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A name is used once: nothing of another writer's is ever replaced.
        self._write_file(f"{name}-{secrets.token_hex(4)}.spool", data)

    def _write_file(self, name: str, data: bytes) -> None:
        unfinished = self._folder / f".{name}.tmp"
        try:
            with _create(unfinished) as fd:
                _write_all(fd, data)
                os.fsync(fd)
                unfinished.rename(self._folder / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    async def replay(self, store: SessionStore) -> SpoolReport:
        """Bring what was left into the store; what it took is deleted.

        A file that another process is at is passed over.
        """
        report = SpoolReport()
        for path in await asyncio.to_thread(self._settled):
            try:
                report += await self._replay_file(store, path)
            except (StoreUnavailable, StoreRefused):
                # It would be the same with all others.
                waiting = await asyncio.to_thread(lambda: len(list(self._folder.glob(_LEFT))))
                return report + SpoolReport(kept=waiting - report.kept - report.newer)
        return report

    def _settled(self) -> list[Path]:
        """List the files, after looking at what writers that died have left."""
        for path in self._folder.glob(_UNFINISHED):
            with _claimed(path) as file:
                if file is not None:
                    try:
                        _unpacked(file.read())
                    except _Damaged:
                        path.unlink()
                    except _Newer:
                        continue
                    else:  # Only its name was missing.
                        path.rename(path.with_name(path.name[1:].removesuffix(".tmp")))
        return sorted(self._folder.glob(_LEFT))

    async def _replay_file(self, store: SessionStore, path: Path) -> SpoolReport:
        with _claimed(path) as file:
            if file is None:
                return SpoolReport()
            try:
                left = _unpacked(await asyncio.to_thread(file.read))
                if isinstance(left, LeftBegun):
                    report = await self._replay_begun(store, path, left)
                else:
                    report = await _replay(store, left)
            except (_Damaged, InvalidValue):
                _set_aside(path)
                return SpoolReport(damaged=1)
            except _Newer:
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

    async def _replay_begun(self, store: SessionStore, path: Path, left: LeftBegun) -> SpoolReport:
        dropped = SpoolReport(erased=len(left.turns))
        age_s = time.time() - left.beginning.begun_ms / 1000
        if age_s > self._retention.total_seconds():
            return dropped
        if left.into is None:
            try:
                into = await find_session(store, left.beginning)
            except SessionGone:
                return dropped
            left = replace(left, into=into)
            # Before the first turn: a repetition must not choose another session.
            self._write_file(path.name, _packed_begun(left))
        if await bring_in(store, left) is Replayed.ERASED:
            return dropped
        return SpoolReport(late=len(left.turns), contents=int(left.content is not None))

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
    """Replay what is left in a folder, again and again, until it is cancelled."""
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


async def _replay(store: SessionStore, left: Left) -> SpoolReport:
    counts = dict.fromkeys(Replayed, 0)
    for batch in batches(left.turns):
        counts[await store.replay(left.lease, batch, settles=left.settles)] += len(batch)
    report = SpoolReport(
        appended=counts[Replayed.APPENDED],
        late=counts[Replayed.LATE],
        erased=counts[Replayed.ERASED],
    )
    if left.content is None or report.erased:
        return report
    lease, content = left.lease, left.content
    try:
        # Without the lease: it may be a successor's, who has not changed anything yet.
        await store.backend.edit(
            lease.participant,
            lease.session_id,
            lease.data_key_id,
            content.version,
            content.sealed,
            witness_seq=0,
        )
    except (WriteConflict, SequenceGap, SessionGone):
        return report + SpoolReport(outdated=1)
    return report + SpoolReport(contents=1)


def _measure(meter: Meter, report: SpoolReport) -> None:
    meter.turns_replayed(Replayed.APPENDED, report.appended)
    meter.turns_replayed(Replayed.LATE, report.late)
    meter.turns_replayed(Replayed.ERASED, report.erased)


@contextmanager
def _create(path: Path) -> Iterator[int]:
    """Make a file for this user alone, locked, so that nobody takes it for a dead writer's."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink == 0:
                continue  # Somebody did, between these two lines.
            yield fd
            return
        finally:
            os.close(fd)


@contextmanager
def _claimed(path: Path) -> Iterator[BufferedReader | None]:
    """Open a file for this process alone; ``None`` where another one, or another user, has it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    with os.fdopen(fd, "rb") as file:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Whoever had it before has deleted it, or given it its name.
        yield file if path.exists() else None


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".damaged")
    path.rename(aside)
    logger.error("a spool file is damaged; it was set aside", extra={"file": aside.name})


def _delete(path: Path) -> None:
    path.unlink()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _packed(left: Left) -> bytes:
    content = left.content
    line = orjson.dumps(
        {
            "lease": asdict(left.lease),
            "turns": [
                [turn.seq, _text(turn.tag_before), _text(turn.sealed)] for turn in left.turns
            ],
            "content": content and [content.version, _text(content.sealed)],
            "settles": left.settles,
        }
    )
    return _labelled(VERSION, line)


def _packed_begun(left: LeftBegun) -> bytes:
    beginning = left.beginning
    wrapped = beginning.wrapped
    line = orjson.dumps(
        {
            "beginning": {
                **{name: getattr(beginning, name) for name in _BEGINNING},
                "wrapped": [wrapped.data_key_id, wrapped.kek_id, _text(wrapped.wrapped)],
            },
            "turns": [_text(sealed) for sealed in left.turns],
            "content": left.content and _text(left.content),
            "into": left.into,
        }
    )
    return _labelled(VERSION_BEGUN, line)


def _labelled(version: int, line: bytes) -> bytes:
    return f"rejoin-spool {version} {hashlib.sha256(line).hexdigest()}\n".encode() + line


def _unpacked(data: bytes) -> Left | LeftBegun:
    """Read what ``_packed`` or ``_packed_begun`` wrote.

    Raises:
        _Damaged, _Newer: it is something else.
    """
    first = _FIRST_LINE.match(data)
    if first is None:
        raise _Damaged
    version = int(first[1])
    if version not in {VERSION, VERSION_BEGUN}:
        raise _Newer
    line = data[first.end() :]
    if hashlib.sha256(line).hexdigest().encode() != first[2]:
        raise _Damaged
    try:
        held = orjson.loads(line)
        return _left_begun(held) if version == VERSION_BEGUN else _left(held)
    except (ValueError, TypeError, KeyError, IndexError):
        raise _Damaged from None


def _left(held: dict[str, Any]) -> Left:
    content = held["content"]
    return Left(
        LeaseRef(**held["lease"]),
        tuple(
            SealedTurn(int(seq), _bytes(tag_before), _bytes(sealed))
            for seq, tag_before, sealed in held["turns"]
        ),
        content and SealedContent(int(content[0]), _bytes(content[1])),
        # Earlier versions of this library wrote none.
        {role: int(number) for role, number in held.get("settles", {}).items()},
    )


def _left_begun(held: dict[str, Any]) -> LeftBegun:
    beginning, content = held["beginning"], held["content"]
    data_key_id, kek_id, wrapped = beginning.pop("wrapped")
    return LeftBegun(
        Beginning(**beginning, wrapped=WrappedKey(data_key_id, kek_id, _bytes(wrapped))),
        tuple(map(_bytes, held["turns"])),
        content and _bytes(content),
        held["into"],
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)
