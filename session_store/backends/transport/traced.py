"""Telling a tracer of each script that runs, and how it ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from session_store.backends.transport.call import Argument
    from session_store.tracing import Tracer

_ANSWER: Final = re.compile(rb"[A-Z_]{1,32}")
"""How scripts begin their replies."""
_HEARTBEATS: Final = frozenset({"renew", "sweepers"})
"""Each second of each conversation one that says nothing new. Metrics have their times."""


async def traced(
    tracer: Tracer,
    operation: str,
    keys: Sequence[str],
    args: Sequence[Argument],
    reply: Awaitable[bytes | list[Any]],
) -> bytes | list[Any]:
    """Wait for a script's reply, and tell the tracer of it."""
    if operation in _HEARTBEATS:
        return await reply
    span = tracer.begin(operation, session_id=session_of(keys), size=size_of(args))
    try:
        answered = await reply
    except BaseException as error:
        span.end(type(error).__name__, failed=True)
        raise
    span.end(outcome_of(answered))
    return answered


def session_of(keys: Sequence[str]) -> str:
    """Return the session that keys are about; empty where there is none, or more than one."""
    named = {key.rpartition(":")[2] for key in keys if _is_of_session(key)}
    return named.pop() if len(named) == 1 else ""


def size_of(args: Sequence[Argument]) -> int:
    """Return the bytes of a script's sealed arguments; all else is text or a number."""
    return sum(len(each) for each in args if isinstance(each, bytes))


def outcome_of(reply: bytes | list[Any]) -> str:
    """Return the word that a reply begins with."""
    first = reply[0] if isinstance(reply, list) else reply.split(maxsplit=1)[0]
    is_word = isinstance(first, bytes) and _ANSWER.fullmatch(first)
    return first.decode() if is_word else "OK"


def _is_of_session(key: str) -> bool:
    # rj1:{sNNNN}:s:<participant>:<id>, and t for its turns.
    parts = key.split(":")
    return len(parts) == 5 and parts[2] in ("s", "t")  # noqa: PLR2004 (as above)
