"""Files that only their owner may read."""

import os
import secrets
from pathlib import Path


def create_private(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600, whole or not at all.

    Raises:
        FileExistsError: When it is there already, which is then left as it is.
    """
    fresh = _written_beside(path, content)
    try:
        # Unlike a rename, a link never replaces what is there.
        path.hardlink_to(fresh)
    finally:
        fresh.unlink()


def replace_private(path: Path, content: bytes) -> None:
    """Write `path` with mode 0600, whole or not at all, whether it is there or not."""
    _written_beside(path, content).replace(path)


def _written_beside(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return fresh
