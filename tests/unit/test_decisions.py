"""The ids of docs/decisions.md, and where they are cited."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from dev.paths import ROOT
from dev.prose import tracked_files

PAGE: Final = ROOT / "docs" / "decisions.md"
ENTRY: Final = re.compile(r'<a id="d(\d+)"></a>(?:\*\*)?D(\d+)\b')
ROW_OR_ITEM: Final = re.compile(r"^(?:- \*\*|- <|\| `).*$", re.MULTILINE)
CITED: Final = re.compile(r"\bD(\d{1,2})\b|decisions\.md#d(\d+)")
"""Two digits at most: rules of ruff have three."""


def entries() -> list[tuple[str, str]]:
    """Return the anchor and the id of each entry."""
    return ENTRY.findall(PAGE.read_text())


def cited(text: str) -> set[str]:
    """Return the ids that a text names."""
    return {bare or linked for bare, linked in CITED.findall(text)}


def test_each_id_is_given_once() -> None:
    """And its anchor is the same."""
    assert [anchor for anchor, number in entries() if anchor != number] == []
    assert [number for number, times in Counter(entries()).items() if times > 1] == []


def test_each_entry_has_an_id() -> None:
    """A row of the dependencies, or an item of the design."""
    found = ROW_OR_ITEM.findall(PAGE.read_text())
    assert [line for line in found if not ENTRY.search(line)] == []
    assert len(found) == len(entries()) > 60


def test_each_id_that_is_cited_exists() -> None:
    """In code, in comments and in the docs."""
    there = {number for _, number in entries()}
    lost = {
        f"{path.relative_to(ROOT)}: D{number}"
        for path in tracked_files(ROOT)
        for number in cited(path.read_text()) - there
    }
    assert lost == set()


def test_a_citation_is_found() -> None:
    """By its id, or by a link to its anchor; a rule of ruff is none."""
    assert cited("see D7, decisions.md#d12; noqa: D105, AD3, D9x") == {"7", "12"}
