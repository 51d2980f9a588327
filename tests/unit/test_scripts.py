"""The Lua scripts, read as text."""

from __future__ import annotations

import re
from importlib import resources

FOLDER = resources.files("session_store.backends.redis") / "lua"


def commands_of(text: str) -> set[str]:
    """Return the commands that a script calls."""
    return set(re.findall(r"redis\.call\('([A-Z]+)'", text))


def test_the_check_at_the_start_asks_for_every_command() -> None:
    """Each command that a script uses is among those that a process's user is allowed."""
    used = set().union(*(commands_of(each.read_text()) for each in FOLDER.iterdir()))
    listed = re.search(r"local COMMANDS = \{(.*?)\}", (FOLDER / "check.lua").read_text(), re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"'([A-Z]+)'", listed[1])) == used


def test_every_script_says_what_it_wants_and_answers() -> None:
    """A script's contract is its first lines: keys, arguments, answers."""
    for each in FOLDER.iterdir():
        if not each.name.startswith("_"):
            contract = "".join(re.findall(r"^--.*\n", each.read_text(), re.MULTILINE))
            assert "KEYS" in contract, each.name
            assert "Returns" in contract, each.name
