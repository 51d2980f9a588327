"""Doing work again only when what it was made from has changed. Standard library only."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(files: Iterable[Path], *facts: str) -> str:
    """Return a digest over the names and contents of `files`, and over `facts`."""
    total = hashlib.sha256()
    for part in facts:
        total.update(hashlib.sha256(part.encode()).digest())
    for file in sorted(files):
        total.update(hashlib.sha256(str(file).encode()).digest())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def is_current(stamp: Path, value: str) -> bool:
    """Return whether `stamp` was written for this very digest."""
    try:
        return stamp.read_text(encoding="utf-8") == value
    except FileNotFoundError:
        return False


def write_stamp(stamp: Path, value: str) -> None:
    """Note that the work for this digest is done."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(value, encoding="utf-8")
