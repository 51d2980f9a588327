"""The lanes of ``make test``."""

from dev.lanes import PARTS, PEOPLE
from dev.paths import ROOT


def test_every_test_runs_in_one_lane() -> None:
    """A new folder of tests that no lane knew of would never be run."""
    folders = {
        path.relative_to(ROOT / "tests").parts[0] for path in ROOT.glob("tests/**/test_*.py")
    }
    assert sorted(folders) == sorted([*PEOPLE, *PARTS])
