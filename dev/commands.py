"""What these commands share: running programs, failing well. Standard library only."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn


class DevError(Exception):
    """One sentence that says what went wrong and what to do; shown without a traceback."""


def main(command: Callable[[], int | None]) -> NoReturn:
    """Run `command` as the program and exit with what it returns."""
    try:
        sys.exit(command() or 0)
    except DevError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def run(
    argv: Sequence[str | Path],
    *,
    failure: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program with its output shown.

    Args:
        argv: The program and its arguments.
        failure: The sentence to fail with.
        cwd: Where to run it; here when absent.
        env: The whole environment; this one when absent.

    Raises:
        DevError: With `failure`, when the program cannot be started or does not exit with 0.
    """
    sys.stdout.flush()
    try:
        code = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise DevError(f"{failure} ({error.strerror}: {argv[0]})") from None
    if code.returncode != 0:
        raise DevError(failure)


def output_of(argv: Sequence[str | Path], *, timeout_s: float = 20.0) -> str | None:
    """Return what a program prints, or None when it cannot be run, fails, or takes too long."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
