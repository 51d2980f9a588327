"""The Lua scripts: read from their files, joined with the common part, called by digest."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis


class Script(NamedTuple):
    """A script and the digest that Redis knows it by."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """Read ``lua/<name>.lua`` behind the common part."""
    folder = resources.files("session_store.backends") / "lua"
    text = (folder / "_common.lua").read_text() + (folder / f"{name}.lua").read_text()
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


async def run(
    client: Redis, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]
) -> list[Any]:
    """Run a script in one round trip; two when this Redis has not seen it yet.

    A replica that was promoted lacks scripts: ``EVAL`` runs the text and keeps it.
    """
    wanted = script(name)
    # Untyped in redis-py.
    call: Callable[..., Awaitable[list[Any]]] = client.execute_command
    try:
        return await call("EVALSHA", wanted.sha, len(keys), *keys, *args)
    except NoScriptError:
        return await call("EVAL", wanted.text, len(keys), *keys, *args)
