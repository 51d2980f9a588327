"""Writes that survive a power cut, once the caller has synced the file itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_all(file: int, data: bytes) -> None:
    """Write all data to an open file: one write may take only a part.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_folder(path: Path) -> None:
    """Sync a folder, so that the names of new files in it survive a power cut.

    Raises:
        OSError: the disk cannot be written.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
