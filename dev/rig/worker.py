"""A worker of the project, ``python -m agent``, and the jobs that it runs."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from dev.rig.programs import Program, signal_process, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dev.rig.network import Island

_JOINED = "joined"
"""What a conversation logs when it has its lease."""
_READY = "process initialized"
_START_S = 120.0
"""On a busy machine a process takes half a minute to import its models."""


class Job(NamedTuple):
    """The process of one job."""

    worker: Worker
    pid: int

    def kill(self) -> float:
        """End it as a crash would; return when (monotonic)."""
        return signal_process(self.pid, signal.SIGKILL)

    def pause(self) -> float:
        """Stop it where it stands; return when (monotonic)."""
        return signal_process(self.pid, signal.SIGSTOP)

    def resume(self) -> float:
        """Let it go on; return when (monotonic)."""
        return signal_process(self.pid, signal.SIGCONT)

    @property
    def runs(self) -> bool:
        """Whether it lives."""
        return self.pid in self.worker.pids()


class Worker(Program):
    """One worker with its processes: the main one, the fork server, and one per job."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        *,
        module: Sequence[str] = ("agent",),
        island: Island | None = None,
    ) -> None:
        """Make a worker; ``start`` starts it.

        Args:
            name: of its log file.
            folder: where it runs.
            settings: its environment.
            module: what ``python -m`` runs, with arguments.
            island: the network that it lives in, if not this machine's.
        """
        self.ready_file = folder / f"{name}.ready"
        prefix = island.prefix if island is not None else ()
        super().__init__(
            name,
            [*prefix, sys.executable, "-m", *module],
            folder,
            {**settings, "AGENT_READY_FILE": str(self.ready_file)},
        )
        self._records: list[dict[str, Any]] = []
        self._read_bytes = 0
        self._starts_at_line = 0

    def start(self) -> None:
        """Start it (again); ``ready`` waits for LiveKit to know it."""
        self.ready_file.unlink(missing_ok=True)
        self._starts_at_line = len(self.records())
        super().start()

    async def ready(self) -> None:
        """Return when LiveKit knows it, and a process waits for the next job."""
        await self.until_ready(f"file:{self.ready_file}")
        await until(
            lambda: self._logged(_READY), f"{self} has a process for a job", within_s=_START_S
        )

    def records(self) -> list[dict[str, Any]]:
        """Return what it has logged, as it was written: JSON objects."""
        if self.log.exists():
            with self.log.open("rb") as log:
                log.seek(self._read_bytes)
                # The last line may be written still.
                read, _, _ = log.read().rpartition(b"\n")
            if read:
                self._read_bytes += len(read) + 1
                self._records += _objects(read)
        return self._records

    def job_of(self, session_id: str) -> Job | None:
        """Return the living job that took this session last; ``None`` if there is none here."""
        joined = [
            int(record["pid"])
            for record in self.records()[self._starts_at_line :]
            if self._is(record, _JOINED)
            and session_id in (record.get("session_id"), record.get("room"))
        ]
        alive = set(self.pids()) if joined else set()
        living = [pid for pid in joined if pid in alive]
        return Job(self, living[-1]) if living else None

    def has_idle_process(self) -> bool:
        """Return whether a process that has had no job yet waits for the next one."""
        records = self.records()[self._starts_at_line :]
        ready = {record["pid"] for record in records if record.get("message") == _READY}
        busy = {record.get("pid") for record in records if "job_id" in record}
        return bool((ready - busy) & set(self.pids()))

    def job_processes(self) -> set[int]:
        """Return the processes that have, or wait for, a job."""
        begun = {record["pid"] for record in self.records() if record.get("message") == _READY}
        return begun & set(self.pids())

    def kill_process(self, pid: int) -> float:
        """End one of its processes; return when (monotonic)."""
        assert pid in self.pids()
        return signal_process(pid, signal.SIGKILL)

    def _logged(self, message: str) -> bool:
        return any(self._is(record, message) for record in self.records()[self._starts_at_line :])

    @staticmethod
    def _is(record: dict[str, Any], message: str) -> bool:
        return record.get("message") == message


def _objects(lines: bytes) -> list[dict[str, Any]]:
    """Return the lines that are JSON objects."""
    objects = []
    for line in lines.splitlines():
        with suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                objects.append(record)
    return objects
