"""One program of a test: started in a session of its own, and ended with all that it started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from dev import sessions
from dev.await_ready import problem_of
from dev.paths import ROOT
from dev.rig.net import NET_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

READY_S = 2 * NET_S
"""A worker is ready after about 4 s, on a busy machine after 70."""
_POLL_S = 0.02
_OWN = ("LIVEKIT_", "REJOIN_", "AGENT_", "GATEWAY_", "DEMO_")
"""Settings of the developer's own do not count."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: the machine's, without settings of ours, and these."""
    machine = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    return {**machine, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}


class Program:
    """A program and its processes, to be killed, stopped and continued."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, settings: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.settings = dict(settings)
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} {self.pid}>"

    @property
    def pid(self) -> int:
        """Of its first process; 0 before it was started."""
        return self._process.pid if self._process is not None else 0

    @property
    def runs(self) -> bool:
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it (again); what it prints is added to its log."""
        with self.log.open("ab") as log:
            # In a folder without a .env.local, which would count.
            self._process = subprocess.Popen(
                [*_ends_with_us(), *self.command],
                cwd=self.folder,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def until_ready(self, *targets: str) -> None:
        """Return when all targets of ``dev.await_ready`` answer.

        Raises:
            AssertionError: with its last words, when it has ended, or takes too long.
        """
        for target in targets:
            deadline = time.monotonic() + READY_S
            while (problem := await asyncio.to_thread(problem_of, target)) is not None:
                if not self.runs or time.monotonic() > deadline:
                    raise AssertionError(f"{self} is not ready: {problem}\n{self.last_words()}")
                await asyncio.sleep(_POLL_S)

    def last_words(self, chars: int = 3000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-chars:] if self.log.exists() else ""

    def pids(self) -> list[int]:
        """Return its living processes, those included that its first one has started."""
        return [process.pid for process in sessions.members([self.pid])] if self.pid else []

    def kill(self) -> float:
        """End all its processes at once, as the end of a machine does; return when (monotonic)."""
        pids = self.pids()
        at = time.monotonic()
        _signal(pids, signal.SIGKILL)
        self._reap()
        return at

    def pause(self) -> None:
        """Stop all its processes where they stand."""
        _signal(self.pids(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        _signal(self.pids(), signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Send SIGTERM to its first process."""
        _signal([self.pid], signal.SIGTERM)

    async def ended(self, within_s: float) -> int | None:
        """Return its exit code, or ``None`` if it runs still after this time."""
        deadline = time.monotonic() + within_s
        while self.runs and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        return self._process.poll() if self._process is not None else None

    async def aclose(self, grace_s: float = 5.0) -> None:
        """End it in order, or at last with force."""
        if self.runs:
            self.resume()
            self.ask_to_end()
            await self.ended(grace_s)
        self.kill()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()


@cache
def _ends_with_us() -> tuple[str, ...]:
    """Return what a command begins with that must not outlive a test run which crashes."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def signal_process(pid: int, number: signal.Signals) -> float:
    """Send a signal to one process that a test has started; return when (monotonic)."""
    at = time.monotonic()
    os.kill(pid, number)
    return at


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def until(
    condition: Callable[[], object], what: str, *, within_s: float = NET_S, poll_s: float = _POLL_S
) -> None:
    """Return when a condition holds.

    Raises:
        AssertionError: naming what did not happen.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in {within_s:g} s it did not happen that {what}")
        await asyncio.sleep(poll_s)
