"""The erasure journal: erasures that must be repeated after a backup was restored.

It is a file outside of Redis and of its backups: one JSON object per line, each with an HMAC under
a key derived from the keyring. It holds pseudonyms, session ids and times, nothing else. Each
erasure is noted, and synced to disk, before it is done. A restored backup brings erased data back,
readable with the keyring. ``replay`` erases them again: run it before you admit participants. It
also helps after a failover to a replica that missed an erasure.

Keep the lines for as long as the oldest backup. Nothing detects removed lines.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from session_store.durable_files import sync_folder, write_all
from session_store.errors import SealBroken, SessionStoreError
from session_store.keys import shard_of
from session_store.upkeep.audit import AuditAction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_store.sealing.keyring import Keyring
    from session_store.store import SessionStore
    from session_store.upkeep.audit import AuditLog

VERSION: Final = 1
_FIELDS: Final = {"v": int, "at": int, "participant": str, "session": str, "created": int}


class JournalFailed(SessionStoreError):
    """The erasure journal cannot be written or read; nothing was erased."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        super().__init__(
            f"the erasure journal {path} cannot be used ({reason}); "
            "make room, or correct REJOIN_ERASURE_JOURNAL"
        )
        self.path = path


class Noted(NamedTuple):
    """An erasure in the journal."""

    participant: str
    session_id: str
    """Empty if the whole participant was erased."""
    at: int
    """Time of the erasure, in Unix milliseconds of the machine that erased."""
    created: int
    """When the store first knew what was erased, in Unix milliseconds of the store; 0 if it knew
    nothing."""

    def covers(self, created: int) -> bool:
        """Return whether data created at ``created`` were there when the erasure was done.

        It compares two times of the store if it can: a difference between the clocks of two
        machines must neither spare erased data nor erase a participant that came back.
        """
        return created <= self.created if self.created else created < self.at


@dataclass(frozen=True, slots=True)
class JournalContent:
    """The entries of a journal."""

    entries: tuple[Noted, ...]
    skipped: tuple[int, ...]
    """Numbers of the lines, from 1, that are damaged, forged, or made with other keys."""


@dataclass(frozen=True, slots=True)
class JournalReport:
    """What a replay did."""

    entries: int
    participants: int
    """Erased again."""
    sessions: int
    """Sessions erased again, one by one."""
    absent: int
    """Erasures that still held: there was nothing to do."""
    came_back: tuple[str, ...]
    """Participants that came back after their erasure; their new data were left alone."""
    left_over: tuple[str, ...]
    """Participants with data that is still there."""
    skipped: tuple[int, ...]
    """Numbers of the lines that are damaged or forged."""


class ErasureJournal:
    """One file. Any number of processes of a machine may append to it."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    async def note(
        self, keyring: Keyring, participant: str, session_id: str = "", *, created: int = 0
    ) -> None:
        """Note an erasure before it is done; returns once it is on disk.

        Raises:
            JournalFailed: it is not on disk.
            InvalidValue: the pseudonym is not valid.
        """
        shard_of(participant)
        noted = Noted(participant, session_id, time.time_ns() // 1_000_000, created)
        await asyncio.to_thread(self._append, _line(keyring, noted))

    async def read(self, keyring: Keyring) -> JournalContent:
        """Read the journal.

        Raises:
            JournalFailed: there is no such file, or it cannot be read.
        """
        text = await asyncio.to_thread(self._read)
        entries, skipped = [], []
        for number, line in enumerate(text.split(b"\n"), 1):
            if not line:
                continue
            noted = _parsed(keyring, line)
            if noted is None:
                skipped.append(number)
            else:
                entries.append(noted)
        return JournalContent(tuple(entries), tuple(skipped))

    def _append(self, line: bytes) -> None:
        with self._opened(os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as file:
            os.fchmod(file, 0o600)
            size = os.fstat(file).st_size
            # A line that a crash cut short must not join with this one.
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            try:
                write_all(file, b"\n" * torn + line + b"\n")
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)
                raise
            if size == 0:
                sync_folder(self.path.parent)

    def _read(self) -> bytes:
        with (
            self._opened(os.O_RDONLY, fcntl.LOCK_SH) as file,
            os.fdopen(os.dup(file), "rb") as all_,
        ):
            return all_.read()

    @contextmanager
    def _opened(self, flags: int, lock: int) -> Iterator[int]:
        try:
            file = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, lock)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise JournalFailed(self.path, error) from error


async def replay(
    store: SessionStore, journal: ErasureJournal, *, audit: AuditLog | None = None
) -> JournalReport:
    """Repeat all erasures of the journal; safe to repeat.

    A participant that came back after the erasure is left alone: only data from before the erasure
    are erased.

    Raises:
        JournalFailed: the journal cannot be read; nothing was erased.
        StoreUnavailable, StoreRefused: erasures so far are done; run it again.
    """
    content = await journal.read(store.keyring)
    replayed = _Replay(store)
    for noted in content.entries:
        if noted.session_id:
            await replayed.session(noted)
        else:
            await replayed.participant(noted)
    report = JournalReport(
        entries=len(content.entries),
        participants=replayed.participants,
        sessions=replayed.sessions,
        absent=replayed.absent,
        came_back=tuple(sorted(replayed.came_back)),
        left_over=tuple(sorted(replayed.left_over)),
        skipped=content.skipped,
    )
    if audit is not None:
        await audit.log(
            AuditAction.REPLAY,
            detail=f"participants={report.participants} sessions={report.sessions} "
            f"skipped={len(report.skipped)} left_over={len(report.left_over)}",
        )
    return report


@dataclass(slots=True)
class _Replay:
    store: SessionStore
    participants: int = 0
    sessions: int = 0
    absent: int = 0
    came_back: set[str] = field(default_factory=set)
    left_over: set[str] = field(default_factory=set)

    async def session(self, noted: Noted) -> None:
        """Erase a session again. Its id is never used twice, so times need no check."""
        if await self.store.delete(noted.participant, noted.session_id):
            self.sessions += 1
        else:
            self.absent += 1

    async def participant(self, noted: Noted) -> None:
        created = await created_at(self.store, noted.participant)
        if created is None:
            self.absent += 1
        elif not noted.covers(created):
            self.came_back.add(noted.participant)
        else:
            self.participants += 1
            if (await self.store.erase(noted.participant)).left_over:
                self.left_over.add(noted.participant)


async def created_at(store: SessionStore, participant: str) -> int | None:
    """Return when the store first knew a participant, in Unix ms; ``None`` if unknown.

    0 if that cannot be read any more: broken data can be erased too.
    """
    try:
        stored = await store.participant(participant)
    except SealBroken:
        return 0
    return None if stored is None else stored.created


def _line(keyring: Keyring, noted: Noted) -> bytes:
    said = {
        "v": VERSION,
        "at": noted.at,
        "participant": noted.participant,
        "session": noted.session_id,
        "created": noted.created,
    }
    return orjson.dumps(said | {"mac": _mac(keyring, noted)})


def _parsed(keyring: Keyring, line: bytes) -> Noted | None:
    """Read a line; ``None`` if this keyring did not make it."""
    try:
        said = orjson.loads(line)
        if any(type(said[name]) is not kind for name, kind in _FIELDS.items()):
            return None
        noted = Noted(said["participant"], said["session"], said["at"], said["created"])
        genuine = hmac.compare_digest(_mac(keyring, noted), said["mac"])
    except (ValueError, KeyError, TypeError):
        return None
    return noted if genuine and said["v"] == VERSION else None


def _mac(keyring: Keyring, noted: Noted) -> str:
    """Authenticate all fields. Each follows its length, so that their borders are fixed."""
    message = bytes([VERSION])
    for written in noted:
        value = str(written).encode()
        message += len(value).to_bytes(4) + value
    return keyring.journal_mac(message).hex()
