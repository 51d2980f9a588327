"""What docs/binding.md shows is what the examples have, or runs as it is printed."""

from __future__ import annotations

import difflib
import re
from typing import Any

from dev.paths import ROOT
from session_store.livekit import Visit

EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "binding.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_lines_to_add_are_those_of_the_example() -> None:
    """Each line of the first block is one of the starter's, added, removed or there already."""
    before, after = (
        (folder / "starter.py").read_text().splitlines()
        for folder in (EXAMPLES / "before", EXAMPLES)
    )
    changes = [
        line
        for line in difflib.unified_diff(before, after, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@")) and line.strip("+-")
    ]
    (shown,) = blocks("diff")
    lines = shown.splitlines()
    assert [line for line in lines if line[0] in "+-"] == changes
    assert {line[1:] for line in lines if line[0] == " "} <= set(before)


def test_every_other_block_is_of_an_example_or_runs() -> None:
    """The documented example is the tested one."""
    examples = [path.read_text() for path in EXAMPLES.glob("*.py")]
    found = blocks("python")
    assert len(found) == 4
    for block in found:
        if block.startswith("from "):
            names: dict[str, Any] = {}
            exec(compile(block, "docs/binding.md", "exec"), names)  # noqa: S102 (it is ours)
            greeted = [
                names["words"](Visit(number=each, language="en", name=None)) for each in (1, 2)
            ]
            assert greeted == ["Good morning!", "There you are again!"]
        else:
            assert any(block in example for example in examples), block


def test_every_file_that_is_named_exists() -> None:
    """Links lead somewhere."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / target.partition("#")[0]).exists(), target
