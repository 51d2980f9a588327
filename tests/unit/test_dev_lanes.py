"""The lanes of ``make test``."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dev import lanes
from dev.commands import DevError
from dev.paths import ROOT


def covered(lane: lanes.Lane) -> list[str]:
    """Return the files of tests that a lane's command names, without what it leaves out."""
    words = lanes.command(lane, report=Path("report.xml"))
    left_out = {ROOT / word.removeprefix("--ignore=") for word in words if "--ignore" in word}
    files: list[str] = []
    for word in words:
        path = ROOT / word
        if word.startswith("tests/"):
            found = [path] if path.is_file() else path.glob("**/test_*.py")
            files += [str(each) for each in found if not {each, *each.parents} & left_out]
    return files


def test_every_test_runs_in_one_lane() -> None:
    """A new file of tests is in the lane of its folder, and no test runs twice."""
    counts = Counter(name for lane in lanes.ALL for name in covered(lane))
    assert dict(counts) == {str(path): 1 for path in ROOT.glob("tests/**/test_*.py")}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a lane's first path be the Python code that it runs instead of pytest."""

    def command(lane: lanes.Lane, *, report: Path, again: bool = False) -> list[str]:
        return [sys.executable, "-c", lane.paths[-1 if again else 0], str(report)]

    monkeypatch.setattr(lanes, "command", command)


REPORT = """
import sys
cases = ''.join(f'<testcase classname="tests.a" name="test_{n}" time="{n}.5"/>' for n in range(12))
open(sys.argv[1], 'w').write(f'<testsuites><testsuite>{cases}</testsuite></testsuites>')
"""


@pytest.mark.usefixtures("scripts")
def test_the_slowest_tests_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of them, over all lanes, the slowest first."""
    lanes.run([lanes.Lane("a", (REPORT,)), lanes.Lane("b", (REPORT,))])
    _, shown = capsys.readouterr().out.split("The 10 slowest tests of 24\n")
    assert shown.splitlines() == [
        f"  {number + 0.5:7.1f} s  a: test_{number}"
        for number in (11, 11, 10, 10, 9, 9, 8, 8, 7, 7)
    ]


@pytest.mark.usefixtures("scripts")
def test_a_lane_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """What each printed is shown, and the failed one is named."""
    failing = lanes.Lane("bad", ("print('is broken'); raise SystemExit(1)",))
    with pytest.raises(DevError, match=r"pytest failed \(see above\): bad\."):
        lanes.run([failing, lanes.Lane("good", ("print('is well')",))])
    shown = capsys.readouterr().out
    assert "is broken" in shown
    assert "is well" in shown


FAILING = """
import sys
cases = ''.join(
    f'<testcase classname="tests.a" name="{kind}"><{kind} message="1 == 2&#10;more"/></testcase>'
    for kind in ('failure', 'error', 'skipped')
)
open(sys.argv[1], 'w').write(f'<testsuites><testsuite>{cases}</testsuite></testsuites>')
raise SystemExit(1)
"""


@pytest.mark.usefixtures("scripts")
def test_the_error_names_what_failed() -> None:
    """Each test with the first line of its reason; without one, how the lane's output ended."""
    mute = lanes.Lane("mute", ("raise SystemExit('is broken')",))
    with pytest.raises(DevError) as raised:
        lanes.run([lanes.Lane("bad", (FAILING,)), mute])
    first, *lines = str(raised.value).splitlines()
    assert first in {
        "pytest failed (see above): bad, mute.",
        "pytest failed (see above): mute, bad.",
    }
    assert sorted(lines) == [
        "  a: error: 1 == 2",
        "  a: failure: 1 == 2",
        "  mute: is broken",
    ]


GOOD = "print('is well')"


@pytest.mark.usefixtures("scripts")
def test_what_failed_is_tried_again_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Passing then, it is named, and the run has passed."""
    lanes.run([lanes.Lane("a", (FAILING, GOOD)), lanes.Lane("b", (GOOD,))])
    shown = capsys.readouterr().out
    assert "-- a, again and alone: passed" in shown
    _, leaned = shown.split("These failed beside others and passed alone. Mend them:\n")
    assert leaned.splitlines() == ["  a: failure: 1 == 2", "  a: error: 1 == 2"]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    "lane",
    [
        lanes.Lane("without clocks", (FAILING, GOOD), has_clocks=False),
        lanes.Lane("without a report", ("raise SystemExit(1)", GOOD)),
        lanes.Lane("again", (FAILING, FAILING)),
    ],
    ids=lambda lane: lane.name,
)
def test_what_is_no_matter_of_clocks_has_failed(lane: lanes.Lane) -> None:
    """As has what fails alone, too."""
    with pytest.raises(DevError, match=lane.name):
        lanes.run([lane])


@pytest.mark.usefixtures("scripts")
def test_where_much_fails_nothing_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is not the machine's doing."""
    monkeypatch.setattr(lanes, "MOST_AGAIN", 1)
    with pytest.raises(DevError, match="a: failure: 1 == 2"):
        lanes.run([lanes.Lane("a", (FAILING, GOOD))])


def test_only_what_failed_is_tried_again(tmp_path: Path) -> None:
    """Pytest knows which tests of the lane they were."""
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def test_good(): pass\n"
        "def test_bad(): assert Path('mended').exists()\n"
    )
    counts = []
    for again in (False, True):
        report = tmp_path / f"{again}.xml"
        command = lanes.command(lanes.Lane("a", ()), report=report, again=again)
        own = [word for word in command if not word.startswith("--ignore")]
        ended = subprocess.run([*own, "test_it.py"], cwd=tmp_path, check=False, env=os.environ)
        (tmp_path / "mended").touch()
        counts.append((ended.returncode, report.read_text().count("<testcase")))
    assert counts == [(1, 2), (0, 1)]


def lanes_that_run(waiting: list[lanes.Lane]) -> list[str]:
    """Return the names of the lanes that begin at once."""
    running: list[lanes.Lane] = []
    while (lane := lanes._next(waiting, running)) is not None:
        waiting.remove(lane)
        running.append(lane)
    return [lane.name for lane in running]


def test_one_lane_that_computes_runs_beside_those_that_talk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes what they leave; where none talks, all that compute run."""
    monkeypatch.setattr(lanes, "SLOTS", 2)
    talk = [lanes.Lane(name, ()) for name in ("a", "b", "c")]
    compute = [lanes.Lane(name, (), computes=True) for name in ("d", "e")]

    assert lanes_that_run([*talk, *compute]) == ["a", "b", "d"]
    assert lanes_that_run([*compute]) == ["d", "e"]
    assert lanes_that_run([talk[0], *compute]) == ["a", "d"]
