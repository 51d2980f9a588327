"""The versions of livekit-agents that `make test-versions` runs."""

import re
import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement

from dev import livekit_versions
from dev.livekit_versions import VERSIONS, Version
from dev.paths import ROOT, TESTS

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: Final = PROJECT["optional-dependencies"]


def locked(version: Version) -> str:
    """Return the livekit-agents of a lock file."""
    found = re.search(r"^livekit-agents==(\S+)", version.lock_file.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_lock_file_has_the_version_that_it_is_named_after(version: Version) -> None:
    """And every package in it has its hashes."""
    lines = version.lock_file.read_text().splitlines()
    assert locked(version).startswith(version.name)
    pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert [line for line in pinned if not line.endswith("\\")] == []


def test_the_oldest_and_the_newest_supported_version_are_tested() -> None:
    """The extras begin with what is tested."""
    oldest, newest = (locked(version) for version in VERSIONS)
    (old,), (new,) = (map(Requirement, EXTRAS[name]) for name in ("livekit", "livekit2"))
    assert f">={oldest.rpartition('.')[0]}" in str(old.specifier)
    assert f">={newest}" in str(new.specifier)


def test_each_pattern_names_tests() -> None:
    """A file that was renamed would not be missed else."""
    for pattern in (*livekit_versions.PROGRAMS, livekit_versions.BINDING):
        file, _, name = pattern.partition("::")
        files = list(TESTS.glob(file))
        assert files, pattern
        assert name in files[0].read_text()
