"""Running the parts of the demo together: all of them, or none."""

import os
import shlex
import signal
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from honcho.manager import Manager
from honcho.printer import Message, Printer

from dev import sessions

_POLL_S = 0.1
_PATIENCE_S = 4.0
"""How long parts may take to stop before the parts that they use are stopped too."""

_ASK_AGAIN_S = 0.5
"""LiveKit takes the first signal as "when the last participant has left", the second as "now"."""

_KEPT_LINES = 20


@dataclass(frozen=True)
class Part:
    """One program of the demo."""

    name: str
    command: Sequence[str]

    awaits: Mapping[str, str] = field(default_factory=dict)
    """What has to answer first, by name; see `dev.await_ready`."""

    is_foundation: bool = False
    """Whether other parts use it, so that it is stopped after them."""


@dataclass(frozen=True)
class Death:
    """The part that stopped without being asked to."""

    name: str
    exit_code: int
    """Negative for the number of the signal that ended it."""

    last_lines: Sequence[str]

    @property
    def reason(self) -> str:
        """How it ended, in words."""
        if self.exit_code < 0:
            return signal.Signals(-self.exit_code).name
        return f"exit code {self.exit_code}"


class Log(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints what the parts print, copies it into a file without colours, keeps the last lines."""

    def __init__(self, copy: TextIO | None = None) -> None:
        super().__init__(sys.stdout)
        self._copy = Printer(copy, colour=False) if copy is not None else None
        self._last_lines: defaultdict[str, deque[str]] = defaultdict(
            lambda: deque(maxlen=_KEPT_LINES)
        )

    def write(self, message: Message) -> None:
        """Print a message of honcho's."""
        super().write(message)
        if self._copy is not None:
            self._copy.width = self.width
            self._copy.write(message)
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        self._last_lines[message.name].extend(text.splitlines())

    def last_lines(self, name: str) -> list[str]:
        """Return the newest lines of a part."""
        return list(self._last_lines[name])


def run(
    parts: Sequence[Part], *, env: Mapping[str, str], cwd: Path, pid_dir: Path, log: Log
) -> Death | None:
    """Run the parts until one of them stops or a signal asks to stop (SIGINT, SIGTERM).

    Then all are stopped, with the processes that they started.

    Args:
        parts: All of them; they start at once and wait for what they need.
        env: Their whole environment.
        cwd: Where they run.
        pid_dir: Gets a file `<name>.pid` for each.
        log: Gets what they print.

    Returns:
        The part that stopped first, or None after a signal.
    """
    manager = _Manager(log, foundations={part.name for part in parts if part.is_foundation})
    for part in parts:
        manager.add_process(part.name, _line(part, pid_dir), env=dict(env), cwd=str(cwd))
    try:
        manager.loop()
    finally:
        sessions.kill(manager.pids())
    if manager.died is None:
        return None
    name, exit_code = manager.died
    return Death(name, exit_code, log.last_lines(name))


def _line(part: Part, pid_dir: Path) -> str:
    awaits = [f"--for={name}={target}" for name, target in part.awaits.items()]
    pid_file = f"--pid-file={pid_dir / part.name}.pid"
    wrapper = [sys.executable, "-m", "dev.await_ready", pid_file, *awaits, "--"]
    # With exec the part has the process id that honcho knows, and no shell stands between.
    return "exec " + shlex.join([*wrapper, *part.command])


class _Manager(Manager):  # type: ignore[misc]  # honcho has no types
    """Honcho's, except that it stops the parts in order and remembers which stopped first."""

    _terminating: bool

    def __init__(self, log: Log, *, foundations: Iterable[str]) -> None:
        super().__init__(log)
        self._foundations = frozenset(foundations)
        self.died: tuple[str, int] | None = None
        """The part that stopped without being asked to, and its exit code."""

    def pids(self) -> list[int]:
        """Return the processes that were started, living or not."""
        return [part["pid"] for part in self._processes.values() if "pid" in part]

    def terminate(self) -> None:
        """Stop the parts in a thread: honcho calls this in a signal handler, and prints on."""
        if self._terminating:
            return
        self._terminating = True
        stopped = {n: p["returncode"] for n, p in self._processes.items() if "returncode" in p}
        self.died = next(iter(stopped.items()), None)
        threading.Thread(target=self._stop_in_order, daemon=True).start()

    def _stop_in_order(self) -> None:
        self._stop(self._processes.keys() - self._foundations, ask_again=False)
        self._stop(self._foundations & self._processes.keys(), ask_again=True)

    def _stop(self, names: Iterable[str], *, ask_again: bool) -> None:
        """Ask these parts to stop; end those that have not after a while.

        Only the first process of a part is asked, not the whole group as honcho does: a worker
        whose helpers vanish under it cannot leave in order. What it leaves behind is ended.
        """
        asked_at: dict[int, float] = {}
        deadline = time.monotonic() + _PATIENCE_S
        while running := [self._processes[name] for name in names if self._is_running(name)]:
            now = time.monotonic()
            # Honcho learns the id a moment after the start.
            for pid in [part["pid"] for part in running if "pid" in part]:
                if now > deadline or not sessions.is_alive(pid):
                    sessions.kill([pid])
                elif pid not in asked_at or (ask_again and now - asked_at[pid] > _ASK_AGAIN_S):
                    asked_at[pid] = now
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
            time.sleep(_POLL_S)

    def _is_running(self, name: str) -> bool:
        return "returncode" not in self._processes[name]
