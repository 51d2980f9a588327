"""The check of the import name: a user's own ``session_store`` hides this library."""

from __future__ import annotations

import importlib
import os
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

import session_store
from session_store.doctor.finding import Finding, fail, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "session_store"


def import_name() -> Finding:
    """Look for another ``session_store`` in the working directory and on ``PYTHONPATH``.

    Python looks in both before it looks among installed packages: in the working directory for
    ``python agent.py`` and ``python -m``, on ``PYTHONPATH`` for every program. Nothing that is
    found is run.
    """
    hiding = list(dict.fromkeys(_others()))
    if not hiding:
        return ok("import name", f"nothing in {Path.cwd()} or on PYTHONPATH hides {_NAME}")
    return fail(
        "import name",
        f"{', '.join(map(str, hiding))} hides this library: an agent that starts from here imports "
        "that instead of Rejoin",
        "rename it, with the imports of it",
    )


def _others() -> Iterator[Path]:
    # A file may be younger than what Python remembers of its folder.
    importlib.invalidate_caches()
    for folder in _folders():
        found = PathFinder.find_spec(_NAME, [str(folder)])
        # A folder without __init__.py has no origin. Python prefers an installed package to it.
        if found is not None and found.origin is not None and not _is_ours(found.origin):
            yield _shown(Path(found.origin))


def _folders() -> Iterator[Path]:
    yield Path.cwd()
    for entry in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        yield Path(entry).absolute()


def _is_ours(origin: str) -> bool:
    return Path(origin).resolve() == Path(session_store.__file__).resolve()


def _shown(origin: Path) -> Path:
    """Return what has to be renamed: the file, or the folder of a package."""
    return origin.parent if origin.stem == "__init__" else origin
