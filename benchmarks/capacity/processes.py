"""What processes take: time of a core, and memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

MIB: Final = 1024 * 1024


class Spent(NamedTuple):
    """What groups of processes took while something went on."""

    wall_s: float
    cpu_s: Mapping[str, float]
    """By group: seconds of a core, user and system."""

    def a_minute(self, group: str, among: int = 1) -> float:
        """Return seconds of a core per minute, for each of so many."""
        return 60 * self.cpu_s[group] / self.wall_s / among


async def spent(groups: Mapping[str, Iterable[int]], work: Awaitable[object]) -> Spent:
    """Take the processor time of processes while ``work`` runs. They must all live through it."""
    processes = {name: list(map(psutil.Process, pids)) for name, pids in groups.items()}
    began, before = time.monotonic(), _taken(processes)
    await work
    wall_s, after = time.monotonic() - began, _taken(processes)
    return Spent(wall_s, {name: after[name] - before[name] for name in processes})


def _taken(processes: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(map(_of_one, each)) for name, each in processes.items()}


def _of_one(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def taken_since_start(pid: int) -> float:
    """Return the seconds of a core that a process has taken since it began."""
    return _of_one(psutil.Process(pid))


def memory_mib(pids: Iterable[int]) -> float:
    """Return the proportional set size (PSS) of processes: a shared page counts once in all.

    Unlike the resident size, which counts what a fork server's children share in each of them.
    """
    # Linux only: psutil types no such field for others.
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / MIB
