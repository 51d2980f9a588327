"""The page: its packages, its build, its scripts."""

import sys
from collections.abc import Iterator
from pathlib import Path

from dev import node
from dev.commands import DevError, main
from dev.digests import digest, is_current, write_stamp
from dev.file_lock import exclusive
from dev.paths import STATE, WEB

_NOT_SOURCES = frozenset({"node_modules", "dist"})
_SCRIPTS = ("build", "check", "test")


def build() -> None:
    """Build `web/dist`, unless it was built from these very sources.

    Raises:
        DevError: When Node is missing, or npm or the build fails.
    """
    with exclusive(STATE / "web.lock"):
        stamp = STATE / "web-digest"
        wanted = digest(_sources())
        if (WEB / "dist" / "index.html").exists() and is_current(stamp, wanted):
            return
        print("Building the page.", flush=True)
        npm = _with_packages()
        npm.npm(["run", "--silent", "build"], failure="The page could not be built (see above).")
        write_stamp(stamp, wanted)


def packages() -> Path:
    """Return the folder of the page's packages, installed from its lock file.

    Raises:
        DevError: When Node is missing, or npm fails.
    """
    with exclusive(STATE / "web.lock"):
        _with_packages()
    return WEB / "node_modules"


def script(name: str) -> None:
    """Run one of the page's npm scripts.

    Raises:
        DevError: When Node is missing, or the script fails.
    """
    if name == "build":
        build()
        return
    with exclusive(STATE / "web.lock"):
        npm = _with_packages()
    npm.npm(["run", "--silent", name], failure=f"npm run {name} failed in web/ (see above).")


def _sources() -> Iterator[Path]:
    for entry in WEB.iterdir():
        if entry.is_file():
            yield entry
        elif entry.name not in _NOT_SOURCES:
            yield from (file for file in entry.rglob("*") if file.is_file())


def _with_packages() -> node.Node:
    found = node.find_or_install()
    stamp = WEB / "node_modules" / ".lock-digest"
    wanted = digest([WEB / "package-lock.json"], str(found.folder))
    if not is_current(stamp, wanted):
        found.npm(
            ["ci", "--no-fund", "--no-audit", "--loglevel=error"],
            failure="The packages of web/package-lock.json could not be installed (see above); "
            "check the network, then run make again.",
        )
        write_stamp(stamp, wanted)
    return found


def _main() -> None:
    match sys.argv[1:]:
        case [name] if name in _SCRIPTS:
            script(name)
        case _:
            raise DevError(f"Usage: python -m dev.web {'|'.join(_SCRIPTS)}")


if __name__ == "__main__":
    main(_main)
