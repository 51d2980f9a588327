"""What docs/binding.md and the README show is what the examples have, or runs as it is printed.

Headings that are checked here: Greeting, What must happen once in a room, Agent transfers, and
In your own agent. The first steps have a file of their own.
"""

from __future__ import annotations

from typing import Any

import pytest

from dev.paths import ROOT
from session_store.livekit import Visit
from tests.snippets import blocks

PAGE = "docs/binding.md"
EXAMPLES = ROOT / "examples"
STARTER = (EXAMPLES / "starter.py").read_text()


def test_the_lines_to_add_are_those_of_the_example() -> None:
    """Each statement that the first steps add is in the starter, too."""
    (shown,) = blocks(PAGE, "The agent", "diff")
    added = [line[1:] for line in shown.splitlines() if line.startswith("+")]
    ours = [line for line in added if "load_by_jobs(" not in line and "active_jobs" not in line]
    assert [line for line in ours if line not in STARTER.splitlines()] == []
    assert len([line for line in ours if line]) == 6


def test_the_lines_of_the_readme_are_those_of_the_example() -> None:
    """But for what it leaves out."""
    (shown,) = blocks("README.md", "In your own agent", "python")
    own = {"server = AgentServer()", "    session = AgentSession(...)", ""}
    assert [line for line in shown.splitlines() if line not in {*own, *STARTER.splitlines()}] == []


@pytest.mark.parametrize(
    ("heading", "number"),
    [("Greeting", 1), ("What must happen once in a room", 0), ("Agent transfers", 0)],
)
def test_the_lines_of_a_section_are_those_of_an_example(heading: str, number: int) -> None:
    """The documented example is the tested one."""
    found = blocks(PAGE, heading, "python")
    assert len(found) == number + 1
    examples = [path.read_text() for path in EXAMPLES.glob("*.py")]
    assert any(found[number] in example for example in examples)


def test_the_words_of_a_greeting_are_these() -> None:
    """The first block under its heading runs."""
    names: dict[str, Any] = {}
    exec(blocks(PAGE, "Greeting", "python")[0], names)  # noqa: S102 (it is ours)
    greeted = [names["words"](Visit(number=each, language="en", name=None)) for each in (1, 2)]
    assert greeted == ["Good morning!", "There you are again!"]
