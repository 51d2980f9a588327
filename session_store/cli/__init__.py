"""``session-store``: look after what is kept, from a command line.

Needs the extra ``cli``: ``pip install 'livekit-rejoin[cli]'``.
"""

from __future__ import annotations

import sys

from session_store.distribution import pip_install


def main() -> int:
    """Run the program with the arguments of this process; return its exit code."""
    try:
        from session_store.cli.app import run  # noqa: PLC0415 (the extra may be missing)
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"session-store: install what it needs: {pip_install('cli')}\n")
        return 2
    return run(sys.argv[1:])
