"""Files, modules and make targets that the docs name are there."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from dev.paths import ROOT
from dev.prose import FENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES: Final = sorted({ROOT / "README.md", *(ROOT / "docs").glob("*.md")})
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]
ENDINGS: Final = "py|lua|md|js|mjs|css|html|ya?ml|sh|toml|json|acl|conf|example|txt|in"
PATH: Final = re.compile(rf"[\w.*-]*[\w*](?:/[\w.*-]+)*(?:/|\.(?:{ENDINGS}))")
MODULE: Final = re.compile(r"(?:session_store|agent|gateway|dev|benchmarks|demo_models)(?:\.\w+)+")
SPAN: Final = re.compile(r"`([^`\n]+)`")
MAKE: Final = re.compile(r"(?:^|`)make ([a-z][a-z0-9-]*)", re.MULTILINE)
LIST: Final = re.compile(r"^```text (\S+/)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
READERS_OWN: Final = {"keys.json", "model.py", "my_agent.py", "talk.py", "tokens.py"}
"""What a reader makes who follows docs/binding.md."""
MADE_BY_THE_DEMO: Final = ".rejoin/"
"""Nothing in it is part of the repository."""


@dataclass(frozen=True)
class Entry:
    """One line of a list of files: a folder, and the files of it that the line names."""

    folder: Path
    files: frozenset[str]


def spans(page: Path) -> list[str]:
    """Return what a page has in code font, its blocks excepted."""
    return SPAN.findall(FENCE.sub("", page.read_text()))


def is_there(name: str, page: Path) -> bool:
    """Return whether a path exists: from the root, from the page, or as the end of a path."""
    found = (True for place in (ROOT, page.parent) for _ in place.glob(name))
    return any(found) or any(_tracked(name))


def _tracked(name: str) -> Iterator[Path]:
    for folder in ("session_store", "agent", "gateway", "web/src", "dev"):
        yield from (ROOT / folder).rglob(name)


def resolves(name: str) -> bool:
    """Return whether a dotted name is a module, or something that a module has."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def entries(base: str, lines: str) -> Iterator[Entry]:
    """Yield the lines of a list; one that begins with blanks goes on with the line before."""
    for line in re.sub(r"\n +", " ", lines).splitlines():
        first, *rest = line.split()
        folder = ROOT / base / (first if first.endswith("/") else "")
        names = rest if first.endswith("/") else [first, *rest]
        yield Entry(folder, frozenset(name for name in names if name.endswith(".py")))


def modules_in(folder: Path) -> set[str]:
    """Return the names of a folder's modules, without `__init__.py` and `__main__.py`."""
    return {file.name for file in folder.glob("*.py") if not file.name.startswith("__")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_file_that_is_named_exists(page: Path) -> None:
    """In code font, from the root of the repository or from the page's folder."""
    named = [span for span in spans(page) if PATH.fullmatch(span)]
    lost = [name for name in named if name not in READERS_OWN and not is_there(name, page)]
    assert [name for name in lost if not name.startswith(MADE_BY_THE_DEMO)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_module_that_is_named_exists(page: Path) -> None:
    """With what it is said to have: `session_store.livekit.persist`."""
    assert [name for name in spans(page) if MODULE.fullmatch(name) and not resolves(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_target_that_is_named_exists(page: Path) -> None:
    """In code font, and in blocks of commands."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(MAKE.findall(page.read_text())) - targets == set()


def lists() -> list[tuple[str, str]]:
    """Return the folder and the lines of each list of files, over all pages."""
    return [found for page in PAGES for found in LIST.findall(page.read_text())]


@pytest.mark.parametrize("listed", lists(), ids=lambda listed: listed[0])
def test_a_list_of_files_is_the_tree(listed: tuple[str, str]) -> None:
    """Each folder is in it, and a line that names one file of a folder names all of them."""
    base, lines = listed
    found = list(entries(base, lines))
    for folder in {entry.folder for entry in found}:
        files = set().union(*(entry.files for entry in found if entry.folder == folder))
        assert folder.is_dir(), folder
        assert not files or files == modules_in(folder), folder
    folders = {path.parent for path in (ROOT / base).glob("*/*.py")}
    assert folders <= {
        folder for entry in found for folder in (entry.folder, *entry.folder.parents)
    }


def test_the_library_and_the_binding_are_listed() -> None:
    """A list that lost its heading would be checked by nothing."""
    assert [base for base, _ in lists()] == ["session_store/", "session_store/livekit/"]


def test_what_is_gone_is_noticed() -> None:
    """A file, a module, and what a module has."""
    page = ROOT / "docs" / "store.md"
    assert is_there("takeover.md", page)
    assert is_there("session_store/*.py", page)
    assert not is_there("docs/gone.md", page)
    assert not is_there("gone.py", page)
    assert resolves("session_store.livekit.persist")
    assert resolves("session_store.upkeep.sweeper.Sweeper")
    assert not resolves("session_store.gone")
    assert not resolves("session_store.livekit.gone")
