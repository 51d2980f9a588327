"""Files of metrics that processes leave behind: folded into one, so that they do not pile up.

In Prometheus's multiprocess mode each process has files of its own, of 64 KiB and more, which stay
when it ends, since what it has counted must not vanish. A worker has a process per job: after a
day of a thousand jobs, every scrape would read a thousand files. So what ended processes have
counted is added up in one file per kind, and theirs are deleted. Their gauges are deleted alone: a
job that was killed holds no conversation.
"""

from __future__ import annotations

import json
import logging
import re
import struct
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

import psutil
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prometheus_client import Metric

logger = logging.getLogger(__name__)

_FILE: Final = re.compile(r"(?P<kind>counter|histogram|summary|gauge_\w+)_(?P<pid>\d+)\.db")
_UNREADABLE: Final = (struct.error, RuntimeError, ValueError, TypeError, MemoryError)
"""What reading a file raises that is not whole: prometheus_client checks little."""
_CLOCKS_DIFFER_S: Final = 2.0
"""How much later than the truth the start of a process may seem to be."""


class ProcessFiles(Collector):
    """Shows the metrics of all processes of a folder, those that ended included.

    One per folder, whose lock keeps folds and scrapes apart: none sees a value twice, or not at
    all.

    Args:
        folder: of ``PROMETHEUS_MULTIPROC_DIR``, and of nobody else.
        is_alive: tells whether the process lives that has written a file, by its id and by when
            (Unix seconds) the file was written to last.
    """

    def __init__(
        self, folder: Path, *, is_alive: Callable[[int, float], bool] | None = None
    ) -> None:
        self._folder = folder
        self._is_alive = is_alive or writer_lives
        self._lock = Lock()

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance: the files say what there is."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Fold, and read what is there."""
        with self._lock:
            self._fold()
            files = [str(path) for path in sorted(self._folder.glob("*.db"))]
            try:
                return list(MultiProcessCollector.merge(files))
            except (OSError, *_UNREADABLE):
                # One that a process is about to make is readable at the next scrape.
                whole = [path for path in files if _values(path) is not None]
                return list(MultiProcessCollector.merge(whole))

    def fold(self) -> None:
        """Fold the files of processes that have ended. May be called by any thread."""
        with self._lock:
            self._fold()

    def _fold(self) -> None:
        alive: dict[int, bool] = {}
        for path in sorted(self._folder.glob("*.db")):
            named = _FILE.fullmatch(path.name)
            if named is None:
                continue
            pid = int(named["pid"])
            if pid not in alive:
                alive[pid] = self._is_alive(pid, path.stat().st_mtime)
            if not alive[pid]:
                self._fold_file(path, named["kind"])

    def _fold_file(self, path: Path, kind: str) -> None:
        values = None if kind.startswith("gauge") else _values(str(path))
        path.unlink(missing_ok=True)
        if values is not None:
            self._add(kind, values)
        elif not kind.startswith("gauge"):
            # Of a process that was killed while it made this file.
            logger.warning("a damaged file of metrics is dropped", extra={"file": path.name})

    def _add(self, kind: str, values: Counter[str]) -> None:
        # A name that is no process's.
        ended = MmapedDict(str(self._folder / f"{kind}_ended.db"))
        try:
            for key, value in values.items():
                before, _ = ended.read_value(key)
                ended.write_value(key, before + value, 0.0)
        finally:
            ended.close()


def writer_lives(pid: int, written_at: float) -> bool:
    """Tell whether a process lives that wrote to a file at this time (Unix seconds).

    Not if it was started later than that: then its id was another's before.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.create_time() < written_at + _CLOCKS_DIFFER_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _values(path: str) -> Counter[str] | None:
    """Read a file; ``None`` for one that is not whole."""
    values: Counter[str] = Counter()
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):
            json.loads(key)
            values[key] += value
    except (OSError, *_UNREADABLE):
        return None
    return values
