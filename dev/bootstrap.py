"""Make the Python environment `.venv` from the lock file, when it is missing or out of date.

Run by `make` before anything else, with whatever Python the machine has: standard library only.
"""

import sys
import time

from dev import uv
from dev.commands import DevError, main, run
from dev.digests import digest, is_current, write_stamp
from dev.file_lock import exclusive
from dev.paths import REQUIREMENTS, ROOT, STATE, VENV

_LOCK_FILE = REQUIREMENTS / "dev.txt"
_STAMP = VENV / "lock-digest"
_OLDEST_PYTHON = (3, 11)


def bootstrap() -> None:
    """Bring `.venv` up to date with `requirements/dev.txt` and `pyproject.toml`.

    Raises:
        DevError: When this Python is too old, or a package cannot be installed.
    """
    if sys.version_info < _OLDEST_PYTHON:
        raise DevError("Rejoin needs Python 3.11 or newer.")
    wanted = digest([_LOCK_FILE, ROOT / "pyproject.toml"], uv.python_digest(VENV))
    if is_current(_STAMP, wanted):
        return
    with exclusive(STATE / "bootstrap.lock"):
        if not is_current(_STAMP, wanted):
            _install()
            write_stamp(_STAMP, wanted)


def _install() -> None:
    started = time.monotonic()
    installer = uv.find_or_install()
    print("Installing the Python packages into .venv.", flush=True)
    uv.sync(VENV, _LOCK_FILE)
    # Without isolation the build backend comes from the lock file too.
    run(
        [
            *(installer, "pip", "install", "--quiet", "--python", VENV / "bin" / "python"),
            *("--no-deps", "--no-build-isolation", "-e", ROOT),
        ],
        failure="This checkout could not be installed into .venv (see above).",
        env=uv.environment(),
    )
    print(f"Python packages ready in {time.monotonic() - started:.0f} s.", flush=True)


if __name__ == "__main__":
    main(bootstrap)
