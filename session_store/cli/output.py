"""Output: JSON for programs, plain columns for pipes, tables for people."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_store.events import Event

_GAP: Final = "  "
_UNBOUNDED: Final = 1000
"""Wider than any row."""
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}
"""Styles of cells that hold just this word."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Whether it holds numbers."""
    wraps: bool = False
    """Whether a cell may take several lines on a narrow screen. Ids may not: people copy them."""


def document(data: Any) -> None:
    """Print one JSON document."""
    _write(_json(data, indent=2))


def line(data: Any) -> None:
    """Print one line of JSON, and flush it."""
    _write(_json(data))


def say(text: str) -> None:
    """Print a line for people."""
    _write(harmless(text))


def note(text: str) -> None:
    """Print a line on standard error: a warning, or progress."""
    sys.stderr.write(f"session-store: {harmless(text)}\n")
    sys.stderr.flush()


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: a table on a terminal, aligned columns elsewhere."""
    cells = [[harmless(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _table_for_people(columns, cells)
        return
    titles = [column.title.upper() for column in columns]
    widths = [max(map(len, each)) for each in zip(titles, *cells, strict=True)]
    for row in [titles, *cells]:
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        _write(_GAP.join(padded).rstrip())


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair per line."""
    known = list(rows)
    width = max(len(name) for name, _ in known)
    for name, value in known:
        say(f"{name.ljust(width)}{_GAP}{value}")


def as_dict(data: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name."""
    return {each.name: getattr(data, each.name) for each in fields(data)}


def when(at: datetime | None) -> str:
    """Write a time, in UTC."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def ago(at: datetime, now: datetime) -> str:
    """Write how long ago a time was, in one unit."""
    return f"{span(max(0.0, (now - at).total_seconds()), units=1)} ago"


def span(seconds: float, *, units: int = 2) -> str:
    """Write a duration with its largest units."""
    left, parts = round(seconds), []
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:units]) or "0 s"


def event_line(event: Event) -> str:
    """Write an event for people."""
    at = datetime.fromtimestamp(event.at / 1000, UTC)
    words = [f"{at:%H:%M:%S}Z", f"{event.type.value:<16}", event.participant, event.session_id]
    if event.turns:
        words.append(f"turn {event.seq}")
    if event.visit_ms >= 1000:  # noqa: PLR2004 (a second)
        words.append(f"after {span(event.visit_ms / 1000)}")
    return _GAP.join(filter(None, words))


def harmless(text: str) -> str:
    """Escape control characters and line ends: stored text comes from strangers."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def close_quietly() -> None:
    """Send all further output to nowhere: its reader is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _table_for_people(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    # If no cell may wrap, the terminal breaks the lines: a cut id is useless.
    width = None if any(column.wraps for column in columns) else _UNBOUNDED
    Console(highlight=False, width=width).print(shown)


def _json(data: Any, indent: int | None = None) -> str:
    # An encoding that lacks a letter must not break the document.
    is_ascii = sys.stdout.encoding.lower() not in {"utf-8", "utf8"}
    return json.dumps(data, default=_plain, indent=indent, ensure_ascii=is_ascii, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return as_dict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)
