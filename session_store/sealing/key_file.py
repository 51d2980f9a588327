"""The first key file of a deployment."""

from __future__ import annotations

import base64
import json
import os
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from session_store.durable_files import sync_folder, write_all
from session_store.sealing.keyring import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

_OWNER_ONLY: Final = 0o600


def make_key_file(path: Path) -> str:
    """Write new random keys to a new file, which only its owner may read.

    Args:
        path: The file, which must not exist. Its folder must exist.

    Returns:
        The id of the key-encryption key: ``k-`` and today's date in UTC.

    Raises:
        FileExistsError: there is something at this path. It stays as it is: without its keys no
            conversation opens.
        OSError: the file cannot be written.
    """
    key_id = f"k-{datetime.now(UTC):%Y-%m-%d}"
    content = {"keys": {key_id: new_key()}, "primary": key_id, "pseudonym_key": new_key()}
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(fresh, json.dumps(content, indent=2).encode() + b"\n")
        # Nobody reads half a file, and unlike a rename a link never replaces what is there.
        path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)
    return key_id


def new_key() -> str:
    """Return a random key of 32 bytes, as a key file holds it: base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _write(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
