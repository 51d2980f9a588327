"""All Python tests in two lanes side by side: one waits most of the time, the other computes."""

import subprocess
import sys
import tempfile
from typing import Final

from dev.commands import DevError
from dev.paths import ROOT

PEOPLE: Final = ("e2e", "chaos")
"""Whole conversations: clocks run, browsers and workers start, little is computed."""
PARTS: Final = ("unit", "contract", "ha", "integration")
"""Each part by itself, and with its neighbours. They take what the others leave of the machine."""


def run() -> None:
    """Run both lanes: the first one's output is shown as it comes, the other's when both are over.

    Raises:
        DevError: When one of them fails.
    """
    with tempfile.TemporaryFile() as later:
        parts = subprocess.Popen(
            ["nice", "-n", "10", *_pytest(PARTS)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=later,
            stderr=subprocess.STDOUT,
        )
        try:
            people = subprocess.run(
                _pytest(PEOPLE), cwd=ROOT, stdin=subprocess.DEVNULL, check=False
            )
            codes = {"whole conversations": people.returncode, "parts": parts.wait()}
        finally:
            if parts.poll() is None:
                parts.terminate()
                parts.wait()
            later.seek(0)
            sys.stdout.write(later.read().decode("utf-8", "replace"))
            sys.stdout.flush()
    if failed := [name for name, code in codes.items() if code != 0]:
        raise DevError(f"pytest failed (see above): {', '.join(failed)}.")


def _pytest(folders: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "pytest", *(f"tests/{each}" for each in folders)]
