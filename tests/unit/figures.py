"""Times in Markdown, and the marks that name where each of them comes from.

A mark is a comment right behind its figure, which no reader sees: ``15 s<!-- =liveness.CUT_S -->``.
It names one of these:

* a constant, by as much of its dotted path as one module alone ends with: ``liveness.CUT_S``;
* a setting, whose default ``.env.example`` has: ``REJOIN_LEASE_S``;
* a value in another file: ``deploy/redis/sentinel.sh:down-after-milliseconds``;
* the target that measures it: ``make bench-takeover``.

Constants and settings may be multiplied: ``2*REJOIN_LEASE_S``.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dev.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES: Final = ("session_store", "agent", "gateway", "benchmarks", "tests")
NUMBERS: Final = {
    word: number
    for number, word in enumerate(["one", "two", "three", "four", "five", "six", "seven"], 1)
} | {"eight": 8, "nine": 9, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60}
UNITS_S: Final = {
    **dict.fromkeys(("µs",), 1e-6),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("day", "days"), 86400.0),
    **dict.fromkeys(("week", "weeks"), 7 * 86400.0),
}
FIGURE: Final = re.compile(
    rf"(?<![\w.,/-])(?:(?P<digits>\d[\d.,]*)[\s-]?|(?P<word>{'|'.join(NUMBERS)})[\s-])"
    rf"(?P<unit>{'|'.join(sorted(UNITS_S, key=len, reverse=True))})\b(?!-)"
    r"(?:\*\*)?(?:<!-- =(?P<mark>[^>]+?) -->)?",
    re.IGNORECASE,
)
MARK: Final = re.compile(r"<!-- =.*?-->")
CODE: Final = re.compile(r"`[^`\n]*`")
NAME_UNITS_S: Final = {"_US": 1e-6, "_MS": 1e-3, "milliseconds": 1e-3, "_MINUTES": 60.0}


@dataclass(frozen=True)
class Figure:
    """A time in a text."""

    line: int
    text: str
    seconds: float
    mark: str | None


def figures(text: str) -> Iterator[Figure]:
    """Yield the times of a page, those in code spans excepted."""
    text = CODE.sub(lambda span: "`" + " " * (len(span.group()) - 2) + "`", text)
    for match in FIGURE.finditer(text):
        seconds = _number(match) * UNITS_S[match["unit"].lower()]
        line = text.count("\n", 0, match.start()) + 1
        yield Figure(line, match.group(), seconds, match["mark"])


def _number(match: re.Match[str]) -> float:
    if match["word"]:
        return NUMBERS[match["word"].lower()]
    return float(match["digits"].rstrip(".,").replace(",", ""))


def seconds_of(mark: str) -> float | None:
    """Return the time that a mark names, or None if a target measures it.

    Raises:
        LookupError: It names nothing that there is, or more than one thing.
    """
    if mark.startswith("make "):
        _check_target(mark.removeprefix("make "))
        return None
    factor, _, name = mark.rpartition("*")
    return float(factor or 1) * _value(name)


def _check_target(target: str) -> None:
    if not re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE):
        raise LookupError(f"the Makefile has no target {target}")


def _value(name: str) -> float:
    if ":" in name:
        return _in_file(*name.split(":"))
    return _constant(*name.rsplit(".", 1)) if "." in name else _setting(name)


def _in_file(path: str, key: str) -> float:
    found = re.findall(rf"{re.escape(key)}\D*(\d+)", (ROOT / path).read_text())
    if len(found) != 1:
        raise LookupError(f"{path} has {key} {len(found)} times")
    return float(found[0]) * _unit_of(key)


def _setting(name: str) -> float:
    example = (ROOT / ".env.example").read_text()
    found = re.search(rf"^#?{name}=([\d.]+)s?$", example, re.MULTILINE)
    if found is None:
        raise LookupError(f"no setting {name} with a time as its default")
    return float(found[1]) * _unit_of(name)


def _constant(module: str, name: str) -> float:
    value = getattr(importlib.import_module(_module(module)), name, None)
    match value:
        case timedelta():
            return value.total_seconds()
        case int() | float():
            return value * _unit_of(name)
    raise LookupError(f"{module} has no time {name}")


def _module(ending: str) -> str:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    dotted = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    found = [name for name in dotted if f".{name}".endswith(f".{ending}")]
    if len(found) != 1:
        raise LookupError(f"{ending} is the end of {len(found)} modules: {found}")
    return found[0]


def _unit_of(name: str) -> float:
    return next((unit for end, unit in NAME_UNITS_S.items() if name.endswith(end)), 1.0)
