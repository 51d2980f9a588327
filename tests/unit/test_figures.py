"""Each time in the docs that operators rely on is that of the code, or was measured."""

from __future__ import annotations

import pytest

from dev.paths import ROOT
from tests.unit.figures import MARK, figures, seconds_of

PAGES = ("docs/takeover.md", "docs/store.md", "docs/operations.md")


@pytest.mark.parametrize("page", PAGES)
def test_each_time_names_where_it_comes_from(page: str) -> None:
    """A mark stands right behind it; see `tests.unit.figures`."""
    unmarked = [
        f"{page}:{figure.line}: {figure.text}"
        for figure in figures((ROOT / page).read_text())
        if figure.mark is None
    ]
    assert unmarked == []


@pytest.mark.parametrize("page", PAGES)
def test_each_time_is_what_its_mark_names(page: str) -> None:
    """A constant that changes changes the docs, and a target that measures exists."""
    for figure in figures((ROOT / page).read_text()):
        if figure.mark is not None:
            seconds = seconds_of(figure.mark)
            told = pytest.approx(figure.seconds)
            assert seconds is None or seconds == told, f"{page}:{figure.line}: {figure.text}"


@pytest.mark.parametrize("page", PAGES)
def test_each_mark_stands_behind_a_time(page: str) -> None:
    """A mark elsewhere would be checked by nothing."""
    text = (ROOT / page).read_text()
    assert len(MARK.findall(text)) == sum(figure.mark is not None for figure in figures(text))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("after 15 s,", [15.0]),
        ("0.5\ns or 50 ms", [0.5, 0.05]),
        ("1,800 seconds and 20 µs", [1800.0, 2e-05]),
        ("Ten seconds, two hours, 7 days", [10.0, 7200.0, 604800.0]),
        ("`60 s` of 3 sessions in a second, s4 s", []),
    ],
)
def test_times_are_found(text: str, seconds: list[float]) -> None:
    """In digits and in words; not in code."""
    assert [figure.seconds for figure in figures(text)] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("keys.CRASH_WINDOW", 60.0),
        ("monitor.deadlines.STALE_S", 30.0),
        ("offline_start.CLOCKS_DIFFER_MS", 10.0),
        ("2*REJOIN_LEASE_S", 6.0),
        ("AGENT_STOP_GRACE", 60.0),
        ("deploy/redis/sentinel.sh:down-after-milliseconds", 4.0),
        ("make bench-takeover", None),
    ],
)
def test_a_mark_has_a_value(mark: str, seconds: float | None) -> None:
    """Whatever the unit in which the code has it."""
    assert seconds_of(mark) == seconds


@pytest.mark.parametrize(
    "mark",
    [
        "keys.GONE_S",
        "nowhere.CUT_S",
        "__init__.CUT_S",
        "REJOIN_GONE_S",
        "REJOIN_DURABILITY",
        "deploy/redis/sentinel.sh:gone",
        "make bench-gone",
    ],
)
def test_a_mark_that_names_nothing_is_an_error(mark: str) -> None:
    """So that a renamed constant is noticed."""
    with pytest.raises(LookupError):
        seconds_of(mark)
