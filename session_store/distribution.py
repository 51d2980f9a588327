"""The name and the version under which this library is installed."""

from __future__ import annotations

from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "livekit-rejoin"
"""The name on PyPI. Another project owns ``rejoin`` there."""
NOT_INSTALLED: Final = "0+checkout"
"""The version of a checkout that is imported without being installed. It sorts below all others."""


def installed_version() -> str:
    """Return the version of the installed distribution, or ``NOT_INSTALLED``."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED


def pip_install(*extras: str) -> str:
    """Return the command that installs this library with extras."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"
