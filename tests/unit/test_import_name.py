"""A user's own ``session_store``: the error that it makes, and how the doctor finds it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from dev.paths import ROOT
from session_store.doctor import Verdict
from session_store.doctor.import_name import import_name

SESSION_STORE: Final = Path(sys.executable).parent / "session-store"
USERS_OWN: Final = "raise SystemExit('the file of the user ran')\n"
"""A file that shows whether somebody imports it."""


def own_file(folder: Path) -> Path:
    """Write a user's module."""
    path = folder / "session_store.py"
    path.write_text(USERS_OWN)
    return path


def own_package(folder: Path) -> Path:
    """Write a user's package."""
    package = folder / "session_store"
    package.mkdir()
    (package / "__init__.py").write_text(USERS_OWN)
    return package


def run(*command: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, with no PYTHONPATH but the one given."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without PYTHONPATH."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


@pytest.mark.parametrize("make", [own_file, own_package])
def test_one_in_the_working_directory_is_found(elsewhere: Path, make: object) -> None:
    """A file or a package is named, and is not run."""
    assert callable(make)
    made = make(elsewhere)
    finding = import_name()

    assert finding.verdict is Verdict.FAIL
    assert finding.says.startswith(f"{made} hides this library")
    assert finding.change


@pytest.mark.parametrize("make", [own_file, own_package])
def test_one_on_the_python_path_is_found(
    elsewhere: Path, tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind other folders, and behind one that is not there."""
    assert callable(make)
    folder = tmp_path / "libraries"
    folder.mkdir()
    made = make(folder)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(["", str(tmp_path / "none"), str(elsewhere), str(folder)])
    )

    finding = import_name()

    assert finding.verdict is Verdict.FAIL
    assert finding.says.startswith(f"{made} hides this library")


def test_one_in_both_places_is_named_once(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory may be on PYTHONPATH too."""
    made = own_file(elsewhere)
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))

    assert import_name().says.count(str(made)) == 1


def test_what_hides_nothing_is_no_fault(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without __init__.py, other names, and this library itself."""
    (elsewhere / "session_store").mkdir()
    (elsewhere / "session_store" / "notes.txt").touch()
    (elsewhere / "session_stores.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    assert import_name().verdict is Verdict.OK


@pytest.mark.parametrize("make", [own_file, own_package])
@pytest.mark.parametrize("on_python_path", [False, True])
def test_the_doctor_runs_where_the_library_is_hidden(
    tmp_path: Path, make: object, *, on_python_path: bool
) -> None:
    """It names what hides the library, and never runs it."""
    assert callable(make)
    folder, here = tmp_path / "own", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    made = make(folder)
    settings = {"REJOIN_REDIS_URL": "memory://"}
    if on_python_path:
        settings["PYTHONPATH"] = str(folder)
    ran = run(SESSION_STORE, "doctor", cwd=here if on_python_path else folder, **settings)

    assert ran.stderr == ""
    assert re.search(rf"^fail +import name +{re.escape(str(made))} hides", ran.stdout, re.MULTILINE)
    assert ran.returncode == 1


def test_the_docs_show_the_error_that_a_user_sees(tmp_path: Path) -> None:
    """The last line of the traceback, for a file of that name."""
    (tmp_path / "session_store.py").touch()
    (tmp_path / "agent.py").write_text("from session_store.livekit import persist\n")
    ran = run(sys.executable, "agent.py", cwd=tmp_path)
    page = (ROOT / "docs" / "binding.md").read_text()

    shown = re.findall(r"^ModuleNotFoundError: .*$", page, re.MULTILINE)
    assert shown == [ran.stderr.splitlines()[-1]]
