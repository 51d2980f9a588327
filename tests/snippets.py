"""The blocks of code in README.md and docs/*.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dev.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_PART: Final = re.compile(
    r"^#+ (?P<heading>.+)$"
    r"|^(?P<indent> *)```(?P<language>\w*).*\n(?P<text>(?:.*\n)*?)(?P=indent)```$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Snippet:
    """One block, with the heading under which it stands."""

    page: str
    heading: str
    language: str
    text: str


def snippets(page: Path) -> Iterator[Snippet]:
    """Yield the blocks of a page, in order."""
    heading = ""
    for part in _PART.finditer(page.read_text()):
        if part["heading"] is not None:
            heading = part["heading"]
        else:
            name = str(page.relative_to(ROOT))
            yield Snippet(name, heading, part["language"], part["text"])


def blocks(page: str, heading: str, language: str) -> list[str]:
    """Return the blocks of a language under a heading."""
    found = snippets(ROOT / page)
    return [each.text for each in found if (each.heading, each.language) == (heading, language)]


def changed(program: str, diff: str) -> str:
    """Return a program after the changes of a diff, which shows some lines around them.

    Raises:
        ValueError: a line that the diff keeps or takes away is not there, in this order.
    """
    lines, at = program.splitlines(), 0
    for change in diff.splitlines():
        sign, line = change[0], change[1:]
        if sign == "+":
            lines.insert(at, line)
            at += 1
        elif line or sign == "-":
            at = lines.index(line, at)
            if sign == "-":
                del lines[at]
            else:
                at += 1
    return "\n".join(lines) + "\n"
