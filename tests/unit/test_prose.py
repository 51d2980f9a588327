"""What must hold in each page of Markdown, whatever it is about."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from dev.paths import ROOT
from dev.prose import FENCE, MARKUP, tracked_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = [path for path in tracked_files(ROOT) if path.suffix == ".md"]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
SHORTEST = 4
"""Words of a phrase that stands twice in a row only by mistake."""


def without_code(text: str) -> str:
    """Return a page without its blocks of code and its comments, each line in its place."""
    for pattern in (FENCE, MARKUP):
        text = pattern.sub(lambda match: "\n" * match.group().count("\n"), text)
    return text


def blocks(text: str) -> Iterator[list[str]]:
    """Yield the words of each paragraph, of each item of a list and of each row of a table."""
    apart = re.sub(r"^( *(?:[-*|]|\d+\.))", r"\n\n\1", without_code(text), flags=re.MULTILINE)
    for block in re.split(r"\n\s*\n", apart):
        yield re.findall(r"[\w`'$.:/_-]*\w[\w`'$.:/_-]*", block.lower())


def repeated_phrases(text: str) -> list[str]:
    """Return each phrase of four or more words that stands twice in a row."""
    return [
        " ".join(words[at : at + length])
        for words in blocks(text)
        for length in range(SHORTEST, len(words) // 2 + 1)
        for at in range(len(words) - 2 * length + 1)
        if words[at : at + length] == words[at + length : at + 2 * length]
    ]


def repeated_lines(text: str) -> list[str]:
    """Return each line that stands twice in a row."""
    lines = [line.strip() for line in without_code(text).split("\n")]
    return [line for line, after in pairwise(lines) if line and line == after]


def repeated_rows(text: str) -> list[str]:
    """Return each first cell that two rows of one table have."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", without_code(text), re.MULTILINE):
        cells = [line.split("|")[1].strip() for line in table.splitlines()]
        found += [cell for cell in dict.fromkeys(cells) if cell and cells.count(cell) > 1]
    return found


def shown_words() -> str:
    """Return the code of agent, gateway and page, with strings over several lines joined."""
    folders = ("session_store", "gateway", "agent", "web/src")
    files = [path for path in tracked_files(ROOT) if path.suffix in {".py", ".js"}]
    ours = [path for path in files if str(path.relative_to(ROOT)).startswith(folders)]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in ours))


@pytest.mark.parametrize("name", ["operations.md", "providers.md"])
def test_words_that_users_report_are_shown_to_them(name: str) -> None:
    """An operator who searches for the words of a user finds them: those quoted in tables."""
    rows = "\n".join(re.findall(r"^\|.*$", (ROOT / "docs" / name).read_text(), re.MULTILINE))
    quoted = [words.strip("… ") for words in re.findall(r'"([A-Z…][^"]*)"', rows)]
    shown = shown_words()
    assert len(quoted) > 4
    assert [words for words in quoted if words not in shown] == []


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: those of its headings, and those set by hand."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {*plain, *re.findall(r'<a id="([^"]+)">', text)}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s:]+)\)", without_code(page.read_text())):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_nothing_stands_twice_in_a_row(page: Path) -> None:
    """No line, no phrase of four words, and no row of a table."""
    text = page.read_text()
    assert repeated_lines(text) + repeated_phrases(text) + repeated_rows(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the line of the page, the line of the page", ["the line of the page"]),
        ("in a room\nwith it in a\nroom with it", ["in a room with it"]),
        ("one two three one two three", []),
        ("of one two three\n\nof one two three", []),
        ("```\none two six ten one two six ten\n```", []),
    ],
)
def test_a_phrase_twice_in_a_row_is_found(text: str, found: list[str]) -> None:
    """Over the ends of lines, within one paragraph, outside of code."""
    assert repeated_phrases(text)[:1] == found


def test_a_line_twice_in_a_row_is_found() -> None:
    """Blank lines may."""
    assert repeated_lines("short\nshort\n\n\nlong") == ["short"]


def test_a_row_twice_in_a_table_is_found() -> None:
    """By its first cell; another table may have it again."""
    assert repeated_rows("| a | 1 |\n| b | 2 |\n| a | 3 |\n") == ["a"]
    assert repeated_rows("| a | 1 |\n\n| a | 2 |\n") == []
