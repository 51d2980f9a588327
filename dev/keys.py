"""The demo's encryption keys, made at its first start."""

from pathlib import Path

from dev.commands import DevError
from session_store.sealing.key_file import make_key_file


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
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        make_key_file(path)
    except FileExistsError:
        return False
    return True
