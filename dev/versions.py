"""Versions of the programs that a machine already has. Standard library only."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dev.commands import output_of

Version = tuple[int, ...]

_NUMBERS = re.compile(r"(?<![\d.])v?(?:go)?(\d+(?:\.\d+)+)")


def parse(text: str) -> Version | None:
    """Return the first dotted number in `text` ("go1.26.8" → (1, 26, 8)), or None."""
    found = _NUMBERS.search(text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def find_on_path(
    names: Sequence[str], *, at_least: Version, version_args: Sequence[str] = ("--version",)
) -> Path | None:
    """Return the first of `names` on PATH that runs and is new enough, or None.

    A program that is there but does not run (a shim, a stub that would install something) is
    passed over, as is one whose version cannot be read.
    """
    for name in names:
        program = shutil.which(name)
        if program is None:
            continue
        text = output_of([program, *version_args])
        version = parse(text) if text is not None else None
        if version is not None and version >= at_least:
            return Path(program)
    return None
