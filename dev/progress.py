"""One line that shows a long command at work."""

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.commands import DevError

_TTY_PERIOD_S = 1.0
_LOG_PERIOD_S = 15.0
_LAST_LINES = 15


def run_with_progress(
    argv: Sequence[str | Path], *, title: str, failure: str, env: Mapping[str, str]
) -> float:
    """Run a long command, showing the seconds so far and the newest line of what it prints.

    Args:
        argv: The program and its arguments.
        title: What is going on, in two or three words.
        failure: The sentence to fail with.
        env: The whole environment.

    Returns:
        How many seconds it took.

    Raises:
        DevError: With `failure`, after the last lines that the command printed.
    """
    started = time.monotonic()
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise DevError(f"{failure} ({error.strerror}: {argv[0]})") from None
    reader = threading.Thread(target=_collect, args=(process, lines), daemon=True)
    reader.start()
    try:
        _show_until_done(process, title, lines, started)
    finally:
        # Also on Ctrl-C: nothing goes on unseen.
        process.terminate()
        process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        print("\n".join(lines), file=sys.stderr, flush=True)
        raise DevError(failure)
    return time.monotonic() - started


def _collect(process: subprocess.Popen[str], lines: deque[str]) -> None:
    if process.stdout is not None:
        lines.extend(line.rstrip() for line in process.stdout if line.strip())


def _show_until_done(
    process: subprocess.Popen[str], title: str, lines: deque[str], started: float
) -> None:
    on_terminal = sys.stdout.isatty()
    period_s = _TTY_PERIOD_S if on_terminal else _LOG_PERIOD_S
    while True:
        try:
            process.wait(period_s)
        except subprocess.TimeoutExpired:
            now = lines[-1] if lines else ""
            text = f"{title}: {time.monotonic() - started:.0f} s, now {now}"[:100]
            if on_terminal:
                print(f"\r\033[K{text}", end="", flush=True)
            else:
                print(text, flush=True)
        else:
            if on_terminal:
                print("\r\033[K", end="", flush=True)
            return
