"""The Lua scripts: read from their files, behind the common part and the constants it uses."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import NamedTuple

from session_store.keys import EVENTS, EXPIRY_MARGIN, SHARED_LIFETIME


class Script(NamedTuple):
    """A script and the digest that Redis knows it by."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """Read ``lua/<name>.lua`` behind the common part."""
    folder = resources.files("session_store.backends") / "lua"
    text = "".join(
        [
            f"local MARGIN_MS = {EXPIRY_MARGIN.total_seconds() * 1000:.0f}\n",
            f"local SHARED_MS = '{SHARED_LIFETIME.total_seconds() * 1000:.0f}'\n",
            f"local EVENTS = '{EVENTS}'\n",
            (folder / "_common.lua").read_text(),
            (folder / f"{name}.lua").read_text(),
        ]
    )
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
