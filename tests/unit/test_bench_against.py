"""How two versions are compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import against
from benchmarks.against import Comparison, Figure, compared, table
from dev.commands import DevError

if TYPE_CHECKING:
    from collections.abc import Mapping


def times(*values: float) -> list[Figure]:
    """Return times, in whatever unit."""
    return [Figure(value) for value in values]


def rates(*values: float) -> list[Figure]:
    """Return rates."""
    return [Figure(value, is_rate=True) for value in values]


@pytest.mark.parametrize(
    ("older", "newer", "slowdown", "holds"),
    [
        (times(10, 10, 10), times(10, 10, 10), 1.0, True),
        (times(10, 10, 10), times(10.5, 10.5, 10.5), 1.05, True),
        (times(10, 10, 10), times(10.6, 10.6, 10.6), 1.06, False),
        (times(10, 10, 12), times(9, 11.9, 11.9), 1.19, True),
        (times(10, 10, 12), times(13, 13, 13), 1.3, False),
        (rates(100, 100, 100), rates(200, 200, 200), 0.5, True),
        (rates(100, 100, 100), rates(90, 90, 90), 1.11, False),
        (rates(100, 100, 88), rates(90, 90, 90), 1.11, True),
    ],
)
def test_slower_is_over_five_percent_and_outside_of_the_older_range(
    older: list[Figure], newer: list[Figure], slowdown: float, *, holds: bool
) -> None:
    """Of a rate, less is slower."""
    comparison = Comparison("it", older, newer)

    assert comparison.slowdown == pytest.approx(slowdown, abs=0.005)
    assert comparison.holds is holds
    assert ("SLOWER" in table([comparison])) is not holds


def test_what_only_one_version_measures_is_left_out() -> None:
    """A new figure has nothing to be compared with."""
    older = [{"a": Figure(1), "gone": Figure(1)}] * 2
    newer = [{"new": Figure(1), "a": Figure(2)}] * 2

    assert [comparison.name for comparison in compared(older, newer)] == ["a"]


def test_versions_take_turns_and_their_results_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that goes first alternates."""
    order: list[str] = []
    for name in ("older", "newer"):
        checkout = tmp_path / name
        (checkout / ".venv" / "bin").mkdir(parents=True)
        (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
        (checkout / "pyproject.toml").touch()
        (checkout / "result.json").write_text("before")
        (checkout / "bench.py").write_text(
            f"open('result.json', 'w').write('{json.dumps({'version': name})}')"
        )
    monkeypatch.setattr(against, "ROOT", tmp_path / "newer")
    (tmp_path / "older" / "dev").mkdir()
    (tmp_path / "older" / "dev" / "bootstrap.py").touch()

    def read(result: Mapping[str, Any]) -> against.Figures:
        order.append(result["version"])
        return {"it": Figure(1)}

    holds = against.compare(["bench"], Path("result.json"), read, older=tmp_path / "older", turns=3)

    assert holds
    assert order == ["older", "newer", "newer", "older", "older", "newer"]
    assert (tmp_path / "older" / "result.json").read_text() == "before"
    assert (tmp_path / "newer" / "result.json").read_text() == "before"


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(DevError, match="is not a checkout"):
        against.compare(["bench"], tmp_path / "result.json", lambda _: {}, older=tmp_path, turns=1)
