"""Counting the statements that an agent needs for Rejoin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.others.statements import Statements, compare

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = """
class Host(Agent):
    pass

async def entrypoint(ctx):
    await session.start(agent=Host(), room=ctx.room)
    greet()
"""


def counted(folder: Path, after: str) -> Statements:
    """Compare with the module before."""
    old, new = folder / "old.py", folder / "new.py"
    old.write_text(BEFORE)
    new.write_text(after)
    return compare(old, new)


def test_lines_and_comments_do_not_count(tmp_path: Path) -> None:
    """A statement on more lines is one, and a comment is none."""
    after = BEFORE.replace("agent=Host(), room", "\n        agent=Host(),\n        room")
    assert counted(tmp_path, f"# why\n{after}") == Statements(0, 0, 0)


def test_a_body_that_is_put_under_a_condition_does_not_count_again(tmp_path: Path) -> None:
    """Its head does."""
    after = BEFORE.replace("    greet()", "    if is_new:\n        greet()")
    assert counted(tmp_path, after) == Statements(1, 0, 0)


def test_what_is_changed_counts_once_and_what_is_gone_apart(tmp_path: Path) -> None:
    """So does a class."""
    changed = BEFORE.replace("room=ctx.room", "**conversation.start_args")
    assert counted(tmp_path, changed) == Statements(1, 0, 0)
    assert counted(tmp_path, changed.replace("    greet()\n", "")) == Statements(1, 1, 0)
    assert counted(tmp_path, BEFORE.replace("    pass", "    name = 1")).classes == 1
