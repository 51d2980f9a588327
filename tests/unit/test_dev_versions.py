"""Versions of the programs on this machine."""

from pathlib import Path

import pytest

from dev.versions import find_on_path, parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("v20.20.2\n", (20, 20, 2)),
        ("livekit-server version 1.13.5", (1, 13, 5)),
        ("Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64", (6, 2, 14)),
        ("Valkey server v=8.1.0 sha=00000000:0", (8, 1, 0)),
        ("no version here, 7", None),
    ],
)
def test_the_version_is_found_in_what_a_program_prints(
    text: str, version: tuple[int, ...] | None
) -> None:
    """Each of the programs that are looked for spells its version in its own way."""
    assert parse(text) == version


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_program_that_does_not_run_is_passed_over(path_folder: Path) -> None:
    """A shim that only complains does not hide the program that works."""
    _program(path_folder / "redis-server", "echo version 9.9.9; exit 1")
    valkey = _program(path_folder / "valkey-server", "echo v=8.1.0")
    assert find_on_path(["redis-server", "valkey-server"], at_least=(6, 2)) == valkey


def test_a_program_that_is_too_old_is_passed_over(path_folder: Path) -> None:
    """An old program counts as none."""
    _program(path_folder / "node", "echo v18.20.0")
    assert find_on_path(["node"], at_least=(20,)) is None
