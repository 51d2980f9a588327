"""Key files for tests and benchmarks."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_key_file(path: Path) -> Path:
    """Write a key file with random keys, and return its path."""

    def key() -> str:
        return base64.b64encode(secrets.token_bytes(32)).decode()

    path.write_text(json.dumps({"keys": {"k-1": key()}, "primary": "k-1", "pseudonym_key": key()}))
    return path
