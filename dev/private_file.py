"""Files that only their owner may read."""

import os
import secrets
from pathlib import Path


def replace_private(path: Path, content: bytes) -> None:
    """Write `path` with mode 0600, whole or not at all, whether it is there or not."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
