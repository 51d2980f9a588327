"""Metrics of a worker's processes: counted in files, which outlive them and do not pile up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from session_store.metrics.process_files import ProcessFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
JOB = """
import sys
from session_store.metrics import sink
meter = sink("worker")
meter.conversation_begun()
meter.joined("created")
meter.turn_saved(0.02)
print("counted", flush=True)
sys.stdin.read()
"""
NOBODY = 5_000_000
"""More than a process id can be."""


class Folder:
    """A folder of metrics, read as Prometheus would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = ProcessFiles(path)
        self._registry = CollectorRegistry()
        self._registry.register(self.files)

    def value(self, name: str, **labels: str) -> float | None:
        """Scrape, and return a sample."""
        return self._registry.get_sample_value(name, labels)

    def names(self) -> list[str]:
        """Return the names of the files."""
        return sorted(path.name for path in self.path.iterdir())

    def leave(self, pid: int, name: str = "joins", by: float = 1) -> Path:
        """Leave a file behind, as a process with this id would have."""
        path = self.path / f"counter_{pid}.db"
        file = MmapedDict(str(path))
        file.write_value(mmap_key(name, f"{name}_total", [], [], "help"), by, 0.0)
        file.close()
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder."""
    return Folder(tmp_path)


@contextmanager
def job(folder: Folder, does: str = JOB) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has counted one conversation, and still has it; kill it at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", does],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        try:
            yield process
        finally:
            process.kill()


def test_what_a_killed_job_has_counted_stays_and_what_it_held_does_not(folder: Folder) -> None:
    """Counts and times are kept in one file of each kind; no conversation is left behind."""
    for killed in range(2):
        with job(folder) as process:
            assert folder.value("active_sessions") == 1
            assert folder.value("rejoin_joins_total", outcome="created") == killed + 1
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not folder.value("active_sessions")
            assert folder.value("rejoin_joins_total", outcome="created") == killed + 1
            assert folder.value("rejoin_turn_saved_seconds_count") == killed + 1
            assert folder.value("rejoin_turn_saved_seconds_bucket", le="0.025") == killed + 1
            assert folder.value("rejoin_turn_saved_seconds_bucket", le="0.01") == 0
            assert folder.names() == ["counter_ended.db", "histogram_ended.db"]


def test_a_job_that_was_killed_and_not_awaited_yet_holds_nothing(folder: Folder) -> None:
    """A zombie has an id still, and writes nothing any more."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        left = folder.leave(process.pid)
        folder.files.fold()
        assert left.exists()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        folder.files.fold()
        assert not left.exists()


def test_another_process_under_an_old_id_is_not_the_writer(folder: Folder) -> None:
    """Whoever this worker has not started cannot be one of its jobs."""
    mine, stranger, nobody = (folder.leave(pid) for pid in (os.getpid(), os.getppid(), NOBODY))
    assert folder.value("joins_total") == 3
    assert mine.exists()
    assert not stranger.exists()
    assert not nobody.exists()


def test_no_scrape_sees_a_value_twice_or_misses_one(folder: Folder) -> None:
    """Whoever folds while others scrape: each sees all that was counted, once."""
    for number in range(200):
        folder.leave(NOBODY + number)
    with ThreadPoolExecutor(4) as threads:
        scrapes = [threads.submit(folder.value, "joins_total") for _ in range(12)]
        folds = [threads.submit(folder.files.fold) for _ in range(12)]
        assert {scrape.result() for scrape in scrapes} == {200.0}
        assert [fold.result() for fold in folds] == [None] * 12
    assert folder.names() == ["counter_ended.db"]


def test_what_is_folded_later_is_added(folder: Folder) -> None:
    """The file of those that ended grows in value, and takes new names in."""
    for number in range(3):
        folder.leave(NOBODY + number, by=2)
        folder.files.fold()
    folder.leave(NOBODY, "leaves", by=5)
    assert folder.value("leaves_total") == 5
    assert folder.value("joins_total") == 6


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x40\x00", b"\xff\xff\xff\x7f", b"\x40\x00\x00\x00\x00\x00\x00\x00\x30\x00\x00\x00{["],
    ids=["empty", "short", "too long", "no JSON"],
)
def test_a_file_that_is_not_whole_breaks_nothing(
    folder: Folder, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    """A living job's is read when it is whole; a dead one's is dropped, which is said once."""
    folder.leave(NOBODY)
    alive = folder.path / f"counter_{os.getpid()}.db"
    alive.write_bytes(damage)
    assert folder.value("joins_total") == 1
    assert alive.exists()
    dead = folder.path / f"histogram_{NOBODY}.db"
    dead.write_bytes(damage)
    caplog.clear()
    assert folder.value("joins_total") == 1
    assert folder.value("joins_total") == 1
    assert not dead.exists()
    assert [record.message for record in caplog.records] == ["a damaged file of metrics is dropped"]


def test_a_job_goes_on_when_its_file_cannot_grow(folder: Folder) -> None:
    """The disk is full, say: what it counted before goes on being counted, the rest is not."""
    cannot_grow = """
import resource
from session_store.backends.redis.scripts import names_of_scripts
resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
for _ in range(2):
    for name in names_of_scripts():
        meter.redis_called(name, 0.02)
meter.turn_saved(0.02)
"""
    counting, then = JOB.split('print("counted"')
    with job(folder, f'{counting}{cannot_grow}print("counted"{then}'):
        assert folder.value("rejoin_turn_saved_seconds_count") == 2
        assert folder.value("active_sessions") == 1


def test_files_of_others_are_left_alone(folder: Folder) -> None:
    """What is not named as Prometheus names its files is nobody's that has ended."""
    (folder.path / "notes.txt").write_text("keep")
    folder.files.fold()
    assert folder.names() == ["notes.txt"]
