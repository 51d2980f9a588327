"""``session-store``: look after what is kept, from a command line.

Needs the extra ``cli``: ``pip install 'rejoin[cli]'``.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the program with the arguments of this process; return its exit code."""
    try:
        from session_store.cli.app import run  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write("session-store: install what it needs: pip install 'rejoin[cli]'\n")
        return 2
    return run(sys.argv[1:])
