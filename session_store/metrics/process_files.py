"""The metrics files of a worker's processes. Files of dead processes are folded into one.

In Prometheus's multiprocess mode each process has its own files, of 64 KiB and more. They stay
when it ends, so that its counts do not vanish. A worker has a process per job: after a day with a
thousand jobs, every scrape would read a thousand files. So the counts of dead processes are added
up in one file per kind, and their files are deleted. Their gauges are only deleted: a dead job
holds no conversation.
"""

from __future__ import annotations

import json
import logging
import os
import re
import struct
from threading import Lock
from typing import TYPE_CHECKING, Final

import psutil
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prometheus_client import Metric

logger = logging.getLogger(__name__)

_FILE: Final = re.compile(r"(?P<kind>counter|histogram|summary|gauge_\w+)_(?P<pid>\d+)\.db")
_UNREADABLE: Final = (struct.error, RuntimeError, ValueError, TypeError, MemoryError)
"""Errors from reading an incomplete file: prometheus_client checks little."""


class ProcessFiles(Collector):
    """Collects the metrics of all processes of a folder, dead ones included.

    Make one per folder. Its lock separates folds from scrapes, so that no scrape sees a value
    twice or misses one.

    Args:
        folder: ``PROMETHEUS_MULTIPROC_DIR`` of this worker. No other program writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()

    def describe(self) -> Iterable[Metric]:
        """Name no metric in advance: the files decide."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Fold, and read all files."""
        with self._lock:
            self._fold()
            files = [str(path) for path in sorted(self._folder.glob("*.db"))]
            try:
                return list(MultiProcessCollector.merge(files))
            except (OSError, *_UNREADABLE):
                # A file that a process is just making is readable at the next scrape.
                whole = [path for path in files if _values(path) is not None]
                return list(MultiProcessCollector.merge(whole))

    def fold(self) -> None:
        """Fold the files of dead processes. Any thread may call it."""
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
                alive[pid] = is_ours(pid)
            if not alive[pid]:
                self._fold_file(path, named["kind"])

    def _fold_file(self, path: Path, kind: str) -> None:
        values = None if kind.startswith("gauge") else _values(str(path))
        path.unlink(missing_ok=True)
        if values is not None:
            self._add(kind, values)
        elif not kind.startswith("gauge"):
            # Its process was killed while it made this file.
            logger.warning("a damaged file of metrics is dropped", extra={"file": path.name})

    def _add(self, kind: str, values: Mapping[str, float]) -> None:
        # No process has this name.
        ended = MmapedDict(str(self._folder / f"{kind}_ended.db"))
        try:
            for key, value in values.items():
                before, _ = ended.read_value(key)
                ended.write_value(key, before + value, 0.0)
        finally:
            ended.close()


def is_ours(pid: int) -> bool:
    """Return whether a process is alive, and is this one or a descendant of it.

    Any other process has only got the id of a dead job: it does not write to this folder.
    """
    if pid == os.getpid():
        return True
    try:
        process = psutil.Process(pid)
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return not is_zombie and any(each.pid == os.getpid() for each in process.parents())
    except psutil.NoSuchProcess:
        return False


def _values(path: str) -> dict[str, float] | None:
    """Read a file; ``None`` if it is incomplete."""
    values: dict[str, float] = {}
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):
            json.loads(key)
            values[key] = value
    except (OSError, *_UNREADABLE):
        return None
    return values
