"""The demo's encryption keys, made at its first start."""

import base64
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path

from dev.commands import DevError
from dev.private_file import create_private

_KEY_BYTES = 32


def ensure_key_file(path: Path, *, data_exist: bool) -> bool:
    """Make the key file unless it is there. It is never overwritten and never printed.

    Args:
        path: The file, JSON, readable by its owner only.
        data_exist: Whether conversations are kept already, which new keys could not open.

    Returns:
        Whether it was made now.

    Raises:
        DevError: When conversations are kept but the key file is gone.
    """
    if path.exists():
        return False
    if data_exist:
        raise DevError(
            f"The demo's conversations are sealed with the keys of {path}, which is gone. "
            "Put that file back, or forget the conversations with: make clean-data"
        )
    key_id = f"k-{datetime.now(UTC):%Y-%m}"
    content = {"keys": {key_id: new_key()}, "primary": key_id, "pseudonym_key": new_key()}
    try:
        create_private(path, json.dumps(content, indent=2).encode())
    except FileExistsError:
        return False
    return True


def new_key() -> str:
    """Return a random key, as a key file holds it: base64."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
