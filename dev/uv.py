"""The package installer, uv: from PATH, else fetched once. Standard library only."""

import os
import shutil
import sys
from pathlib import Path

from dev.commands import run
from dev.digests import digest, is_current, write_stamp
from dev.paths import REQUIREMENTS, TOOLS

_LOCK_FILE = REQUIREMENTS / "tool-uv.txt"


def find_or_install() -> Path:
    """Return uv from PATH, or the one that pip installs beside the demo's state.

    Raises:
        DevError: When it is not there and cannot be installed.
    """
    on_path = shutil.which("uv")
    return Path(on_path) if on_path else _installed_by_pip()


def environment() -> dict[str, str]:
    """Return the environment to call uv with: it uses the Python that it is told, or none."""
    return {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def python_digest(venv: Path) -> str:
    """Return a digest of this Python and the path: an environment survives no change of either."""
    return digest([], sys.version, str(Path(sys.executable).resolve()), str(venv))


def sync(venv: Path, lock_file: Path) -> None:
    """Make the Python environment `venv` if need be, and have it hold what `lock_file` names.

    Raises:
        DevError: When it cannot be made, or a package cannot be installed.
    """
    installer = find_or_install()
    python = python_digest(venv)
    stamp = venv / "python-digest"
    if not is_current(stamp, python):
        shutil.rmtree(venv, ignore_errors=True)
        run(
            [installer, "venv", "--quiet", "--python", sys.executable, venv],
            failure=f"uv could not make the environment {venv} (see above).",
            env=environment(),
        )
        write_stamp(stamp, python)
    into_venv = ["--quiet", "--python", str(venv / "bin" / "python")]
    # Compiled once: where Python may write no bytecode, each start of a worker would compile it.
    options = ["--compile-bytecode", "--require-hashes"]
    run(
        [installer, "pip", "sync", *into_venv, *options, lock_file],
        failure=f"The packages of requirements/{lock_file.name} could not be installed "
        "(see above); check the network, then run make again.",
        env=environment(),
    )


def _installed_by_pip() -> Path:
    home = TOOLS / "uv"
    uv = home / "bin" / "uv"
    stamp = home / "lock-digest"
    wanted = digest([_LOCK_FILE], sys.version)
    if uv.exists() and is_current(stamp, wanted):
        return uv
    print("Fetching uv, the package installer.", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    run(
        [sys.executable, "-m", "venv", home],
        failure=f"{sys.executable} cannot make a virtual environment; install Python's venv module "
        "(Debian, Ubuntu: apt install python3-venv) or uv, then run make again.",
    )
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    run(
        [*pip, "install", "--quiet", "--require-hashes", "--requirement", str(_LOCK_FILE)],
        failure="uv could not be installed with pip (see above); "
        "install uv yourself, then run make again.",
    )
    write_stamp(stamp, wanted)
    return uv
