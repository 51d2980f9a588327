"""The layout of the tree: what a stranger may rely on when looking for something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dev.paths import ROOT
from dev.prose import tracked_files

if TYPE_CHECKING:
    from pathlib import Path

MOST_LINES: Final = 450
"""A longer file has more than one job."""
LONGER: Final = {"session_store/store.py": 800}
"""One class of many short methods: what users of the library call."""
BINDING: Final = {"__init__.py", "job", "worker", "rooms", "providers", "telemetry"}
"""What the folder of the binding holds: a folder for each process or role."""


def sources() -> list[Path]:
    """Return the program files of the checkout, without tests."""
    tests = ROOT / "tests"
    return [
        path
        for path in tracked_files(ROOT)
        if path.suffix in {".py", ".js", ".mjs", ".lua"}
        and tests not in path.parents
        and not path.name.endswith(".test.js")
    ]


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    """The one exception has a bound of its own."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()
    }

    assert {
        name: length for name, length in lengths.items() if length > LONGER.get(name, MOST_LINES)
    } == {}
    assert all(lengths[name] > MOST_LINES for name in LONGER), "an exception is not needed any more"


def test_the_binding_has_a_folder_for_each_process_and_role() -> None:
    """No module stands beside them, so each path says where its code runs."""
    folder = ROOT / "session_store" / "livekit"

    assert {path.name for path in folder.iterdir() if path.name != "__pycache__"} == BINDING
