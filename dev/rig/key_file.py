"""Key files for tests and benchmarks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from session_store.sealing.key_file import new_key

if TYPE_CHECKING:
    from pathlib import Path


def write_key_file(path: Path) -> Path:
    """Write a key file with random keys, and return its path."""
    content = {"keys": {"k-1": new_key()}, "primary": "k-1", "pseudonym_key": new_key()}
    path.write_text(json.dumps(content))
    return path
