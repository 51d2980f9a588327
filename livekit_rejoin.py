"""Start ``session-store``, also where a user's own ``session_store`` hides the library.

This file has a name that no user's file has. So Python finds it first, and it can put the library
before the other ``session_store``. Then ``session-store doctor`` runs, and names the other one.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path


def main() -> int:
    """Run the program with the arguments of this process; return its exit code."""
    hiding = [folder for folder in sys.path if _hides_the_library(folder)]
    # They stay on the path, because other packages may be in them.
    sys.path[:] = [*(folder for folder in sys.path if folder not in hiding), *hiding]
    from session_store.cli import main as run  # noqa: PLC0415 (the path had to be put in order)

    return run()


def _hides_the_library(folder: str) -> bool:
    """Return whether ``import session_store`` would find something else in this folder."""
    found = PathFinder.find_spec("session_store", [folder])
    if found is None or found.origin is None:
        return False
    package = Path(found.origin).parent
    return not (package / "cli" / "doctor_command.py").exists()
