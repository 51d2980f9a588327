"""Files of a spool folder: written at once or not at all, and read by one process at a time.

A file is locked while it is written or replayed. A writer that died leaves a file whose name
begins with a dot.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from session_store.durable_files import sync_folder, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader
    from pathlib import Path

_FINISHED: Final = "*.spool"
_UNFINISHED: Final = ".*.spool.tmp"


def finished(folder: Path) -> list[Path]:
    """List the files that wait to be replayed, in the order of their names."""
    return sorted(folder.glob(_FINISHED))


def write_new(folder: Path, name: str, data: bytes) -> None:
    """Write a file under a name of its own, in a folder that is made where it is missing.

    The file is on the disk when this returns.

    Args:
        folder: for this user alone.
        name: how the file's name begins. No file is ever replaced.
        data: all of it.

    Raises:
        OSError: the disk is full, say. Nothing is left behind.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(folder / f"{name}-{secrets.token_hex(4)}.spool", data)


def write(path: Path, data: bytes) -> None:
    """Write a file, or replace it. Raises as ``write_new``."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with _created(unfinished) as fd:
            write_all(fd, data)
            os.fsync(fd)
            unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def finish(folder: Path, is_whole: Callable[[bytes], bool | None]) -> None:
    """Name or delete the files of writers that died.

    Args:
        folder: where to look.
        is_whole: says of a file's bytes whether all of them are there; ``None`` if it cannot say,
            and then the file stays as it is.
    """
    for path in folder.glob(_UNFINISHED):
        with claimed(path) as file:
            whole = None if file is None else is_whole(file.read())
            if whole is False:
                path.unlink()
            elif whole:
                path.rename(path.with_name(path.name[1:].removesuffix(".tmp")))


@contextmanager
def claimed(path: Path) -> Iterator[BufferedReader | None]:
    """Open a file for this process alone; ``None`` if another process, or another user, has it."""
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
        # The process that had it before may have deleted it, or given it its name.
        yield file if path.exists() else None


@contextmanager
def _created(path: Path) -> Iterator[int]:
    """Make a file for this user alone, locked, so that no replay takes it for a dead writer's."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink == 0:
                continue  # A replay deleted it between these two lines.
            yield fd
            return
        finally:
            os.close(fd)
