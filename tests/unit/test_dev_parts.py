"""Running the parts of the demo together, with small programs in their place."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dev import sessions
from dev.paths import ROOT
from dev.rig.net import NET_S

_RUNNER = """
import json, os, sys
from pathlib import Path
from dev.parts import Log, Part, run
folder = Path(sys.argv[1])
parts = [Part(*entry) for entry in json.loads(sys.argv[2])]
death = run(parts, env=dict(os.environ), cwd=Path.cwd(), pid_dir=folder, log=Log())
print("DEATH", json.dumps(death and [death.name, death.reason, list(death.last_lines)]), flush=True)
"""
_FOREVER = "import time; print('here', flush=True); time.sleep(600)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_FOREVER}"
_WITH_CHILD = (
    f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {_STUBBORN!r}])\n{_FOREVER}"
)
_LEAVES_A_MARK = (
    "import pathlib, signal, sys, time\n"
    "def stop(*_):\n"
    "    time.sleep({delay})\n"
    "    pathlib.Path({mark!r}).write_text(str(time.monotonic()))\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "print('here', flush=True); time.sleep(600)"
)


class Runner:
    """A process that runs parts, as the demo does."""

    def __init__(self, folder: Path, parts: dict[str, str], foundations: frozenset[str]) -> None:
        entries: list[tuple[str, list[str], dict[str, str], bool]] = [
            (name, [sys.executable, "-c", code], {}, name in foundations)
            for name, code in parts.items()
        ]
        self._folder = folder
        self._names = list(parts)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUNNER, str(folder), json.dumps(entries)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def pids(self) -> dict[str, int]:
        """Return the process of each part, as soon as all are there."""
        return {name: int(self._read(f"{name}.pid")) for name in self._names}

    def wait_until_printed(self, text: str, times: int) -> None:
        """Read the log until a text was printed so often."""
        assert self.process.stdout is not None
        while times:
            line = self.process.stdout.readline()
            assert line, "the log ended"
            times -= text in line

    def result(self) -> list[str | list[str]] | None:
        """Return what the runner told at its end."""
        output, _ = self.process.communicate(timeout=NET_S)
        (line,) = (line for line in output.splitlines() if line.startswith("DEATH "))
        told: list[str | list[str]] | None = json.loads(line.removeprefix("DEATH "))
        return told

    def _read(self, name: str) -> str:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            path = self._folder / name
            if path.exists() and (text := path.read_text(encoding="ascii")):
                return text
            time.sleep(0.05)
        raise TimeoutError(name)


class Starter:
    """Starts runners and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Runner] = []

    def __call__(self, *, foundations: frozenset[str] = frozenset(), **parts: str) -> Runner:
        """Start a runner with these parts: Python code by name."""
        runner = Runner(self._folder, parts, foundations)
        self._started.append(runner)
        return runner

    def end(self) -> None:
        """Leave nothing behind, whatever the test has done."""
        for runner in self._started:
            runner.process.kill()
        # The runner's helpers hold its output open for as long as the parts live.
        sessions.kill(int(file.read_text(encoding="ascii")) for file in self._folder.glob("*.pid"))
        for runner in self._started:
            runner.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Return a function that runs parts."""
    starter = Starter(tmp_path)
    yield starter
    starter.end()


def _assert_nothing_left(pids: dict[str, int]) -> None:
    members = sessions.members(pids.values())
    assert not [process for process in members if sessions.is_alive(process.pid)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_parts_and_their_children(
    start: Starter, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM leave no process behind, not even one that ignores SIGTERM."""
    runner = start(one=_FOREVER, two=_WITH_CHILD)
    pids = runner.pids()
    runner.wait_until_printed("here", 3)
    assert len(sessions.members(pids.values())) == 3
    runner.process.send_signal(number)
    assert runner.result() is None
    _assert_nothing_left(pids)


def test_a_part_that_dies_stops_the_others_and_is_named(start: Starter, tmp_path: Path) -> None:
    """The first to stop is named, with how it ended and its last lines."""
    dies = (
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'one.pid')!r}).exists(): time.sleep(0.05)\n"
        "print('no memory'); raise SystemExit(3)"
    )
    runner = start(one=_WITH_CHILD, two=dies)
    pids = runner.pids()
    assert runner.result() == ["two", "exit code 3", ["no memory"]]
    _assert_nothing_left(pids)


def test_a_part_that_is_killed_stops_the_others(start: Starter) -> None:
    """A part that had no chance to say anything is noticed too."""
    runner = start(one=_FOREVER, two=_FOREVER)
    pids = runner.pids()
    runner.wait_until_printed("here", 2)
    os.kill(pids["one"], signal.SIGKILL)
    assert runner.result() == ["one", "SIGKILL", ["here"]]
    _assert_nothing_left(pids)


def test_foundations_stop_after_the_parts_that_use_them(start: Starter, tmp_path: Path) -> None:
    """A worker that saves its last words still finds Redis."""
    marks = {name: tmp_path / name for name in ("redis", "worker")}
    runner = start(
        foundations=frozenset({"redis"}),
        redis=_LEAVES_A_MARK.format(delay=0, mark=str(marks["redis"])),
        worker=_LEAVES_A_MARK.format(delay=0.5, mark=str(marks["worker"])),
    )
    runner.wait_until_printed("here", 2)
    runner.process.send_signal(signal.SIGINT)
    assert runner.result() is None
    stopped_at = {name: float(mark.read_text(encoding="ascii")) for name, mark in marks.items()}
    assert stopped_at["worker"] < stopped_at["redis"]


def test_parts_stop_when_their_demo_is_killed(start: Starter, tmp_path: Path) -> None:
    """The announcer outlives the demo for as long as it takes to stop the parts."""
    runner = start(one=_WITH_CHILD)
    pids = runner.pids()
    runner.wait_until_printed("here", 2)
    announcer = subprocess.Popen(
        [
            *(sys.executable, "-m", "dev.announce", "--page=http://localhost:1"),
            *(f"--demo-pid={runner.process.pid}", f"--pid-dir={tmp_path}"),
            f"--ready-file={tmp_path / 'ready.json'}",
        ],
        cwd=ROOT,
        env={**os.environ, "LIVEKIT_URL": "ws://127.0.0.1:2", "REJOIN_REDIS_URL": "redis://h:3"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert announcer.stdout is not None
    assert any("http://localhost:1" in line for line in announcer.stdout)
    assert json.loads((tmp_path / "ready.json").read_bytes()) == {
        "page": "http://localhost:1",
        "livekit_url": "ws://127.0.0.1:2",
        "redis_url": "redis://h:3",
        "pids": pids,
    }
    psutil.Process(runner.process.pid).kill()
    runner.process.wait()
    announcer.communicate(timeout=NET_S)
    _assert_nothing_left(pids)
    assert not (tmp_path / "ready.json").exists()
