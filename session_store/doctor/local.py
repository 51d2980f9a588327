"""Checks of this machine: keys, and the files that outlive Redis."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from session_store.doctor.finding import Finding, fail, ok, warn
from session_store.errors import KeyringError
from session_store.sealing.keyring import Keyring

if TYPE_CHECKING:
    from pathlib import Path

    from session_store.settings import StoreSettings

_OTHERS: Final = 0o077
"""Mode bits that give access to others than the owner."""


def keys(settings: StoreSettings) -> tuple[Keyring | None, list[Finding]]:
    """Read the keyring as every process does, and check the mode of its file."""
    try:
        keyring = Keyring.from_settings(settings)
    except KeyringError as error:
        return None, [fail("keys", str(error), "every process needs the same keys")]
    count = len(keyring.ids)
    says = f"{count} key{'' if count == 1 else 's'}, {keyring.primary} is primary"
    path = settings.key_file
    if path is None:
        return keyring, [ok("keys", f"{says}, from the environment")]
    findings = [ok("keys", f"{says}, from {path}")]
    mode = path.stat().st_mode
    if mode & _OTHERS:
        findings.append(
            fail(
                "key file",
                f"mode {stat.S_IMODE(mode):04o}: other users of this machine can read the keys",
                f"chmod 600 {path}",
            )
        )
    return keyring, findings


def spool(settings: StoreSettings) -> Finding:
    """Check the folder where a job leaves turns that it could not save."""
    path = settings.spool_dir
    if path is None:
        return warn(
            "spool",
            "none: a job that ends while Redis is unreachable loses its unsaved turns",
            "set REJOIN_SPOOL_DIR to a folder that the agents' processes share",
        )
    return _folder("spool", path)


def journal(settings: StoreSettings) -> Finding:
    """Check the file where erasures are noted."""
    path = settings.erasure_journal
    if path is None:
        return warn(
            "erasure journal",
            "none: restoring a backup of Redis brings erased participants back for good",
            "set REJOIN_ERASURE_JOURNAL to a file outside of Redis and its backups",
        )
    if not path.exists():
        return _folder("erasure journal", path.parent, path)
    return _private("erasure journal", path, os.R_OK | os.W_OK)


def _folder(check: str, folder: Path, wanted: Path | None = None) -> Finding:
    if not folder.exists():
        return ok(check, f"{wanted or folder}; it is made when needed")
    if not folder.is_dir():
        return fail(check, f"{folder} is not a folder", "set another path")
    if wanted is not None:
        if os.access(folder, os.W_OK | os.X_OK):
            return ok(check, f"{wanted}; it is made when needed")
        return fail(check, f"{folder} cannot be written by this user", f"chown {folder}")
    return _private(check, folder, os.R_OK | os.W_OK | os.X_OK)


def _private(check: str, path: Path, rights: int) -> Finding:
    mode = path.stat().st_mode
    if not os.access(path, rights):
        return fail(check, f"{path} cannot be read and written by this user", f"chown {path}")
    if mode & _OTHERS:
        change = f"chmod {'700' if path.is_dir() else '600'} {path}"
        return warn(
            check, f"{path} has mode {stat.S_IMODE(mode):04o}: other users can read it", change
        )
    return ok(check, str(path))
