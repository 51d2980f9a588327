"""All Python tests, in lanes beside each other: most of them wait, and few compute.

A lane is one run of pytest with servers, browser and ports of its own. The slowest tests of all
lanes are shown at the end.

Conversations have clocks: LiveKit gives up a connection that stood still for 15 seconds. On a
machine that stands still so long, with several lanes at work, a test fails that is right. So what
failed is tried once more, alone. What passes then is named at the end: it has to be mended, too.

No test may lean on the machine. These three runs show it:

- `make test` on a quiet machine;
- the same beside two programs that spin: `sh -c 'while :; do :; done' &`, twice;
- the same with another Redis: `PATH=/folder/of/redis-server:$PATH make test`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from dev.commands import DevError
from dev.paths import ROOT

SLOTS: Final = 1 + max(2, os.cpu_count() or 1)
"""How many lanes run at once that talk: they wait for much of their time, but not for most of it.

One more runs beside them, of those that compute: it takes what the others leave. With a fourth
that talks, two cores are starved, and clocks run out.
"""
SLOWEST: Final = 10
MOST_AGAIN: Final = 8
"""Where more tests have failed than this, it is not the machine, and none is tried again."""
_POLL_S: Final = 0.1
_END_S: Final = 30.0
_FAILED: Final = ("failure", "error")
_LINE: Final = 160
_NICE: Final = ("nice", "-n", "10")
"""Lanes that compute leave the processor to lanes that talk: those have clocks."""


@dataclass(frozen=True)
class Lane:
    """One run of pytest."""

    name: str
    paths: tuple[str, ...]
    """Folders, files or ids of tests in ``tests/``. A folder means the files in it that no lane of
    ``ALL`` names itself."""
    computes: bool = False
    options: tuple[str, ...] = ()
    python: str = sys.executable
    """What runs it: an environment with pytest."""
    has_clocks: bool = True
    """Whether a machine that stands still can make a test fail."""


_UNIT: Final = Lane("unit", ("unit",), computes=True, has_clocks=False)

ALL: Final = (
    Lane("a browser without a network", ("e2e/test_rejoin.py", "e2e/test_geometry.py")),
    Lane("a browser and the demo", ("e2e",)),
    Lane("lost networks", ("chaos/test_cut_off.py", "chaos/test_stalled.py")),
    Lane(
        "programs",
        (
            "integration/test_binding_examples.py",
            "integration/test_metrics.py",
            "integration/test_monitor.py",
            "integration/test_monitoring.py",
            "integration/test_start.py",
            "integration/test_tracing.py",
        ),
    ),
    Lane("lost agents", ("chaos",)),
    Lane(
        "callers",
        (
            "integration/test_callers.py",
            "integration/test_binding_entry_rooms.py",
            "integration/test_first_steps.py",
            "integration/test_frontend.py",
            "chaos/test_anonymous.py",
        ),
    ),
    Lane("parts", ("integration",)),
    Lane("providers", ("integration/providers",)),
    Lane("missing agents", ("chaos/test_crash_loop.py", "chaos/test_one_agent.py")),
    Lane("contract", ("contract",), computes=True),
    Lane("Redis of every kind", ("ha",), computes=True),
    _UNIT,
)
"""In the order in which they begin: the longest first."""

FAST: Final = (
    _UNIT,
    Lane("contract in memory", ("contract",), computes=True, options=("-m", "not redis")),
)
"""What needs neither servers nor a browser."""


class Timed(NamedTuple):
    """How long a test took, with what it set up."""

    seconds: float
    test: str


class _Run:
    """A lane that runs."""

    def __init__(self, lane: Lane, folder: Path, number: int, *, again: bool = False) -> None:
        self.lane = lane
        self._again = again
        self._began = time.monotonic()
        self._report = folder / f"{number}.xml"
        self._output = folder / f"{number}.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command(lane, report=self._report, again=again),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    @property
    def has_failed(self) -> bool:
        return self._process.returncode != 0

    def wait(self) -> None:
        """Wait until it is over."""
        self._process.wait()

    def end(self) -> None:
        """End it, as Ctrl-C does: it stops its servers then."""
        if self.is_over:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def show(self) -> None:
        """Print what it printed."""
        word = "failed" if self.has_failed else "passed"
        seconds = time.monotonic() - self._began
        name = f"{self.lane.name}, again and alone" if self._again else self.lane.name
        print(f"\n-- {name}: {word} after {seconds:.0f} s")
        print(self._output.read_text(errors="replace"), flush=True)

    def timed(self) -> Iterator[Timed]:
        """Yield its tests."""
        for case in self._cases():
            yield Timed(float(case.get("time", "0")), _name(case))

    @property
    def names_failures(self) -> bool:
        """Whether its report says which tests have failed."""
        return bool(self._failed())

    def failures(self) -> Iterator[str]:
        """Yield a line for each test that failed and why; for a lane without one, its end."""
        failed = self._failed()
        for case, part in failed:
            yield f"{_name(case)}: {_first_line(part.get('message', ''))}"
        if self.has_failed and not failed:
            end = self._output.read_text(errors="replace").strip()
            yield f"{self.lane.name}: {end[-_LINE:]}"

    def _failed(self) -> list[tuple[ET.Element, ET.Element]]:
        return [(case, part) for case in self._cases() for part in case if part.tag in _FAILED]

    def _cases(self) -> Iterator[ET.Element]:
        if self._report.exists():
            yield from ET.parse(self._report).iter("testcase")  # noqa: S314 (our own report)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname', '').removeprefix('tests.')}: {case.get('name')}"


def _first_line(message: str) -> str:
    return next(iter(message.splitlines()), "")[:_LINE]


def run(lanes: Sequence[Lane] = ALL) -> None:
    """Run lanes, each one's output shown when it is over, and the slowest tests at the end.

    Raises:
        DevError: When one of them fails; it names the tests that failed.
    """
    tests: list[Timed] = []
    failed: list[_Run] = []
    with tempfile.TemporaryDirectory() as folder:
        for each in _run_all(lanes, Path(folder)):
            each.show()
            tests += each.timed()
            if each.has_failed:
                failed.append(each)
        leaned = [line for each in failed for line in each.failures()]
        failed = list(_tried_again(failed, Path(folder), number=len(lanes)))
        failures = [line for each in failed for line in each.failures()]
    show_slowest(tests)
    if failed:
        names = ", ".join(each.lane.name for each in failed)
        lines = (f"  {line}" for line in failures)
        raise DevError("\n".join([f"pytest failed (see above): {names}.", *lines]))
    if leaned:
        print("\nThese failed beside others and passed alone. Mend them:")
        print("\n".join(f"  {line}" for line in leaned), flush=True)


def _tried_again(failed: Sequence[_Run], folder: Path, *, number: int) -> Iterator[_Run]:
    """Run the tests that failed once more, a lane at a time; yield the lanes that have failed."""
    too_many = sum(len(list(each.failures())) for each in failed) > MOST_AGAIN
    for each in failed:
        if too_many or not each.lane.has_clocks or not each.names_failures:
            yield each
            continue
        again = _Run(each.lane, folder, number, again=True)
        number += 1
        try:
            again.wait()
        finally:
            again.end()
        again.show()
        if again.has_failed:
            yield again


def _run_all(lanes: Sequence[Lane], folder: Path) -> Iterator[_Run]:
    """Run lanes, some at once, and yield each when it is over."""
    waiting, running = deque(lanes), list[_Run]()
    numbers = count()
    try:
        while waiting or running:
            while (lane := _next(waiting, [each.lane for each in running])) is not None:
                waiting.remove(lane)
                running.append(_Run(lane, folder, next(numbers)))
            time.sleep(_POLL_S)
            for each in [each for each in running if each.is_over]:
                running.remove(each)
                yield each
    finally:
        for each in running:
            each.end()


def _next(waiting: Collection[Lane], running: Collection[Lane]) -> Lane | None:
    """Return the lane that may begin now; ``None`` while there is no slot for one."""
    computing = sum(lane.computes for lane in running)
    some_talk = any(not lane.computes for lane in (*waiting, *running))
    has_slot = {
        True: computing < (1 if some_talk else SLOTS),
        False: len(running) - computing < SLOTS,
    }
    return next((lane for lane in waiting if has_slot[lane.computes]), None)


def command(lane: Lane, *, report: Path, again: bool = False) -> list[str]:
    """Return what runs a lane.

    Args:
        lane: Which.
        report: The JUnit report that it shall write.
        again: Run only the tests that failed when it ran last.
    """
    named = {path for each in ALL for path in each.paths if path not in lane.paths}
    ignored = [f"--ignore=tests/{path}" for path in sorted(named) if Path(path).parent.name]
    return [
        *(_NICE if lane.computes else ()),
        *(lane.python, "-m", "pytest", "-q"),
        *(f"tests/{path}" for path in lane.paths),
        *ignored,
        *(f"--junitxml={report}", "-o", "junit_duration_report=total"),
        *("-o", f"cache_dir=.pytest_cache/{lane.name.replace(' ', '-')}"),
        *(("--last-failed", "--last-failed-no-failures", "none") if again else ()),
        *lane.options,
    ]


def show_slowest(tests: Sequence[Timed]) -> None:
    """Print the slowest tests, each with what it had to set up."""
    print(f"\nThe {SLOWEST} slowest tests of {len(tests)}")
    for each in sorted(tests, reverse=True)[:SLOWEST]:
        print(f"  {each.seconds:7.1f} s  {each.test}")
    sys.stdout.flush()
