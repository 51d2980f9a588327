"""The chart: how many turns per second, and what an operation costs among many sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure

from benchmarks.store.plan import CONTESTANTS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.store.measured import ByLevel, Measured

_LABELS: Final = {
    "ours": "session_store\n(sealed, fenced)",
    "pipeline": "raw pipeline\n(3 commands)",
    "redis_session": "RedisSession",
    "encrypted_session": "EncryptedSession",
}
# Told apart by people who see colours differently too (Okabe and Ito), and by their marks.
_COLOURS: Final = {
    "ours": "#0072B2",
    "pipeline": "#555555",
    "redis_session": "#E69F00",
    "encrypted_session": "#D55E00",
}
_MARKS: Final = {"ours": "o", "pipeline": "s", "redis_session": "^", "encrypted_session": "D"}


def draw(measured: Measured, path: Path) -> None:
    """Write the chart as PNG."""
    figure = Figure(figsize=(14, 4.8), dpi=110, layout="constrained")
    bars, appends, reads = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
    _draw_bars(bars, {name: measured.appends.crowd_per_s[name].median for name in CONTESTANTS})
    _draw_lines(appends, "Append one turn", measured.growth.append_us)
    _draw_lines(reads, "Read the last 10 turns of 100", measured.growth.read_us)
    handles, labels = appends.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path)


def _draw_bars(axes: Axes, per_s: dict[str, float]) -> None:
    drawn = axes.bar(
        [_LABELS[name] for name in per_s],
        list(per_s.values()),
        color=[_COLOURS[name] for name in per_s],
        width=0.65,
    )
    axes.bar_label(
        drawn, [f"{value:,.0f}".replace(",", " ") for value in per_s.values()], padding=3
    )
    axes.set_title("Turns appended per second, 64 tasks")
    axes.tick_params(axis="x", labelsize=8.5)
    _tidy(axes)


def _draw_lines(axes: Axes, title: str, times_us: ByLevel) -> None:
    for name, by_level in times_us.items():
        axes.plot(
            list(by_level),
            [series.median for series in by_level.values()],
            color=_COLOURS[name],
            marker=_MARKS[name],
            linewidth=2,
            label=_LABELS[name].replace("\n", " "),
        )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.set_xlabel("sessions in Redis")
    axes.set_ylabel("median time, µs, 1 task")
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd")
