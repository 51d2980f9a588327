"""Compare this checkout with an older one, by turns in one run: ``--against CHECKOUT``.

Machines differ from hour to hour, so figures of two runs say little about two versions. Here each
turn measures both versions, one right after the other, and the version that goes first alternates.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dev.commands import DevError, run
from dev.paths import ROOT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

MOST_SLOWER: Final = 1.05
"""How many times as long as in the older checkout something may take."""


class Figure(NamedTuple):
    """One measured value."""

    value: float
    is_rate: bool = False
    """Whether more is better; else it is a time, and less is."""


Figures = dict[str, Figure]


@dataclass(frozen=True)
class Comparison:
    """One figure of both checkouts, of all turns."""

    name: str
    older: Sequence[Figure]
    newer: Sequence[Figure]

    @property
    def slowdown(self) -> float:
        """How many times as long it takes now, by the medians."""
        older, newer = _median(self.older), _median(self.newer)
        return older / newer if self.older[0].is_rate else newer / older

    @property
    def holds(self) -> bool:
        """Whether it is not slower: by more than 5 %, and outside of the older one's range."""
        values = [figure.value for figure in self.older]
        worst = min(values) if self.older[0].is_rate else max(values)
        newer = _median(self.newer)
        in_range = newer >= worst if self.older[0].is_rate else newer <= worst
        return self.slowdown <= MOST_SLOWER or in_range


def add_options(parser: argparse.ArgumentParser, *, turns: int) -> None:
    """Add ``--against`` and ``--turns`` to a benchmark's options.

    Args:
        parser: the benchmark's.
        turns: how often both are measured, if the caller does not say.
    """
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="compare with an older checkout, by turns; nothing is written",
    )
    parser.add_argument("--turns", type=int, default=turns, help="of --against")


def compare(
    command: Sequence[str],
    result: Path,
    read: Callable[[Mapping[str, Any]], Figures],
    *,
    older: Path,
    turns: int,
) -> bool:
    """Measure both checkouts by turns, print a table, and return whether all figures hold.

    Args:
        command: the module and its arguments, as after ``python -m``. Both checkouts know it.
        result: the file that it writes; absolute, or relative to a checkout.
        read: makes figures of that file's content.
        older: the other checkout. Its environment is made if it has none.
        turns: how often each one measures.

    Raises:
        DevError: one of them cannot be measured.
    """
    older = older.resolve()
    if not (older / "pyproject.toml").is_file():
        raise DevError(f"{older} is not a checkout of this project.")
    run(["python3", "-m", "dev.bootstrap"], cwd=older, failure=f"{older} cannot be set up.")
    measured: dict[Path, list[Figures]] = {older: [], ROOT: []}
    for turn in range(turns):
        for checkout in (older, ROOT) if turn % 2 == 0 else (ROOT, older):
            print(f"\n== turn {turn + 1} of {turns}: {checkout}", flush=True)
            measured[checkout].append(read(_measure(checkout, command, result)))
    comparisons = list(compared(measured[older], measured[ROOT]))
    print(f"\n{table(comparisons)}")
    return all(comparison.holds for comparison in comparisons)


def compared(older: Sequence[Figures], newer: Sequence[Figures]) -> Iterable[Comparison]:
    """Pair the figures that both checkouts have in all turns, in the newer one's order."""
    for name in newer[0]:
        if all(name in figures for figures in (*older, *newer)):
            yield Comparison(
                name, [figures[name] for figures in older], [figures[name] for figures in newer]
            )


def table(comparisons: Iterable[Comparison]) -> str:
    """Return the comparisons as text: medians, the older one's range, and the slowdown."""
    rows = [f"{'':34}{'older':>11}{'its range':>23}{'newer':>11}{'takes':>8}"]
    for each in comparisons:
        values = [figure.value for figure in each.older]
        reach = f"{_short(min(values))} to {_short(max(values))}"
        rows.append(
            f"{each.name:34}{_short(_median(each.older)):>11}{reach:>23}"
            f"{_short(_median(each.newer)):>11}{each.slowdown:7.2f}x"
            f"{'' if each.holds else '  SLOWER'}"
        )
    return "\n".join(rows)


def _measure(checkout: Path, command: Sequence[str], result: Path) -> Mapping[str, Any]:
    """Run the benchmark in a checkout; what it writes is read, and put back as it was."""
    path = checkout / result
    before = path.read_bytes() if path.exists() else None
    try:
        run(
            [checkout / ".venv" / "bin" / "python", "-m", *command],
            cwd=checkout,
            failure=f"The benchmark failed in {checkout} (see above).",
        )
        content: Mapping[str, Any] = json.loads(path.read_bytes())
    finally:
        if before is not None:
            path.write_bytes(before)
    return content


def _median(figures: Iterable[Figure]) -> float:
    return statistics.median(figure.value for figure in figures)


def _short(value: float) -> str:
    return f"{value:.4g}"
