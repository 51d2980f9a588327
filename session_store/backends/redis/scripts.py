"""The Lua scripts: read from their files, behind the shared parts that each of them names.

A shared part costs microseconds at each call, so a script gets only the parts that it uses.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from session_store.backends.transport.call import Script
from session_store.backends.values import MAX_WORKS_BEFORE
from session_store.keys import (
    CLOCKS_DIFFER,
    COMEBACK,
    CRASH_WINDOW,
    EXPIRY_MARGIN,
    LATE_PART,
    MAX_DEATHS,
    NO_TAKING_BACK,
    SHARED_LIFETIME,
    SHORT_LIFE,
)

if TYPE_CHECKING:
    from datetime import timedelta

_USES: Final = "-- Uses: "
"""How the first line of a script begins that needs more than the common part."""


def names_of_scripts() -> tuple[str, ...]:
    """Return the names of all scripts: the operations of the Redis backend."""
    folder = resources.files("session_store.backends.redis") / "lua"
    files = (path.name for path in folder.iterdir())
    return tuple(sorted(name[:-4] for name in files if name[0] != "_" and name.endswith(".lua")))


@cache
def script(name: str, events: str) -> Script:
    """Read ``lua/<name>.lua`` behind the parts that it shares with others.

    Args:
        name: the script.
        events: the channel to which it publishes. It is a part of the text, because an argument
            would be sent with each call.
    """
    folder = resources.files("session_store.backends.redis") / "lua"
    own = (folder / f"{name}.lua").read_text()
    first, _, _ = own.partition("\n")
    uses = first.removeprefix(_USES).split(", ") if first.startswith(_USES) else []
    text = "".join(
        [
            f"local MARGIN_MS = {_ms(EXPIRY_MARGIN)}\n",
            f"local SHARED_MS = '{_ms(SHARED_LIFETIME)}'\n",
            f"local EVENTS = '{events}'\n",
            f"local CRASH_MS, MAX_DEATHS = {_ms(CRASH_WINDOW)}, {MAX_DEATHS}\n",
            f"local LATE_PART, WORKS_BEFORE = {LATE_PART}, {MAX_WORKS_BEFORE}\n",
            f"local CLOCK_MS, MOVED_MS = {_ms(CLOCKS_DIFFER)}, {_ms(NO_TAKING_BACK)}\n",
            f"local SHORT_LIFE_MS, COMEBACK_MS = {_ms(SHORT_LIFE)}, {_ms(COMEBACK)}\n",
            *((folder / f"_{part}.lua").read_text() for part in ["common", *uses]),
            own,
        ]
    )
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _ms(span: timedelta) -> str:
    return f"{span.total_seconds() * 1000:.0f}"
