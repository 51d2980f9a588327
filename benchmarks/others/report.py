"""The table of what happened to the agents of other people."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.others.events import Measured
    from benchmarks.others.statements import Statements


COLUMNS: Final = (
    "agent",
    "statements",
    "what happened",
    "times",
    "tools run twice",
    "second greetings",
    "met by silence",
    "silence, s",
    "listens after, s",
    "answers after, s",
    "forgot",
    "failed",
)


def report(found: Iterable[Measured], statements: Mapping[str, Statements]) -> str:
    """Return a table in Markdown."""
    rows = defaultdict(list)
    for each in found:
        rows[each.agent, each.event].append(each)
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|---|--:|---|{'--:|' * (len(COLUMNS) - 3)}",
    ]
    for (agent, event), measured in sorted(rows.items()):
        counted = statements.get(agent)
        cells = [
            agent,
            f"{counted.written}, removed {counted.removed}" if counted else "",
            event,
            len(measured),
            sum(each.tools_twice for each in measured),
            sum(each.second_greetings for each in measured),
            sum(each.met_by_silence for each in measured),
            _seconds(each.silence_s for each in measured),
            _seconds(each.listens_s for each in measured),
            _seconds(each.answer_s for each in measured),
            sum(not each.remembers for each in measured),
            sum(bool(each.failed) for each in measured),
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _seconds(values: Iterable[float | None]) -> str:
    """Return the median, the least and the most; how many there are not."""
    known, all_values = [], list(values)
    known = [value for value in all_values if value is not None]
    if not known:
        return "-"
    missing = len(all_values) - len(known)
    spread = f"{median(known):.1f} ({min(known):.1f} to {max(known):.1f})"
    return f"{spread}, {missing} none" if missing else spread
