"""Stopping a program together with whatever it started.

Each part of the demo leads a session of its own (POSIX, `setsid`), so the processes that belong
to it are found by that, whatever became of the one that started them.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil


def members(leaders: Iterable[int]) -> list[psutil.Process]:
    """Return the living processes of the sessions with these leaders."""
    # The session first: to look at every process of the machine costs a hundred times as much.
    wanted = frozenset(leaders)
    found = []
    for pid in psutil.pids():
        if _session(pid) in wanted:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
    return found


def kill(leaders: Iterable[int]) -> None:
    """End the sessions at once."""
    for process in members(leaders):
        _quietly(process.kill)


def stop(leaders: Iterable[int], *, grace_s: float) -> None:
    """Ask every process of the sessions to end; end at once what is left after `grace_s`."""
    leaders = frozenset(leaders)
    asked = members(leaders)
    for process in asked:
        _quietly(process.terminate)
    psutil.wait_procs(asked, timeout=grace_s)
    kill(leaders)


def is_alive(pid: int) -> bool:
    """Return whether a process runs: a dead one that was not collected yet does not."""
    try:
        return str(psutil.Process(pid).status()) != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _quietly(signal: Callable[[], None]) -> None:
    with suppress(psutil.NoSuchProcess):
        signal()
