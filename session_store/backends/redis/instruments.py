"""What watches the scripts that run: a meter hears how long each takes, a tracer makes spans."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from session_store.errors import CircuitOpen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from session_store.backends.transport.call import Argument
    from session_store.meter import Meter
    from session_store.tracing import Tracer

_ANSWER: Final = re.compile(rb"[A-Z_]{1,32}")
"""The word with which a script's reply begins."""
_HEARTBEATS: Final = frozenset({"renew", "sweepers"})
"""They run every second for each conversation and say nothing new. Metrics have their times."""


async def timed(meter: Meter, operation: str, answer: Awaitable[list[Any]]) -> list[Any]:
    """Wait for a script's answer and tell the meter how long that took.

    A call that an open circuit refused was not sent, and does not count.
    """
    clock = asyncio.get_running_loop().time
    begun, was_sent = clock(), True
    try:
        return await answer
    except CircuitOpen:
        was_sent = False
        raise
    finally:
        if was_sent:
            meter.redis_called(operation, clock() - begun)


async def traced(
    tracer: Tracer,
    operation: str,
    keys: Sequence[str],
    args: Sequence[Argument],
    answer: Awaitable[list[Any]],
) -> list[Any]:
    """Wait for a script's answer within a span."""
    if operation in _HEARTBEATS:
        return await answer
    span = tracer.begin(operation, session_id=session_of(keys), size=size_of(args))
    try:
        reply = await answer
    except BaseException as error:
        span.end(type(error).__name__, failed=True)
        raise
    span.end(outcome_of(reply))
    return reply


def session_of(keys: Sequence[str]) -> str:
    """Return the id of the session that keys are about; empty for none or several."""
    named = {key.rpartition(":")[2] for key in keys if _is_of_session(key)}
    return named.pop() if len(named) == 1 else ""


def size_of(args: Sequence[Argument]) -> int:
    """Return the bytes of a script's sealed arguments; all others are text or numbers."""
    return sum(len(argument) for argument in args if isinstance(argument, bytes))


def outcome_of(reply: Sequence[Any]) -> str:
    """Return the word with which a reply begins."""
    is_word = isinstance(reply[0], bytes) and _ANSWER.fullmatch(reply[0])
    return reply[0].decode() if is_word else "OK"


def _is_of_session(key: str) -> bool:
    # rj1:{sNNNN}:s:<participant>:<id>, and t for its turns. A namespace adds no colon.
    parts = key.split(":")
    return len(parts) == 5 and parts[2] in ("s", "t")  # noqa: PLR2004 (as above)
