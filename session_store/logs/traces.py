"""Tracebacks that name errors and places, and leave out what the errors say.

An error's text may quote anything: what was typed, what a model was sent, what it answered. Where
it was raised, and its type, is what is needed to mend it.
"""

from __future__ import annotations

import re
import traceback
from typing import Final

from session_store.errors import SessionStoreError

_BECAUSE: Final = "The above was the direct cause of:"
_MEANWHILE: Final = "While the above was handled:"
_MOST: Final = 10
"""Errors told of a chain. More are a loop."""
TRACE_BEGINS: Final = "Traceback (most recent call last):"
_TYPE: Final = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b(?=:|$)")
"""How the last line of a traceback begins."""


def trace_of(error: BaseException) -> str:
    """Write the traceback of an error and of those that led to it, without their texts."""
    told: list[str] = []
    current: BaseException | None = error
    for _ in range(_MOST):
        if current is None:
            break
        frames = "".join(traceback.format_tb(current.__traceback__)).rstrip("\n")
        begin = f"{TRACE_BEGINS}\n{frames}\n" if frames else ""
        told.append(begin + named(current))
        if current.__cause__ is not None:
            told.append(_BECAUSE)
            current = current.__cause__
        elif current.__context__ is not None and not current.__suppress_context__:
            told.append(_MEANWHILE)
            current = current.__context__
        else:
            current = None
    return "\n".join(reversed(told)).removeprefix(f"{_BECAUSE}\n").removeprefix(f"{_MEANWHILE}\n")


def named(error: BaseException) -> str:
    """Name an error: by its type, and by what of it cannot hold anybody's words.

    Our own errors say ids and what to do; others are known by a status, or by what the operating
    system calls them.
    """
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    if isinstance(error, SessionStoreError):
        return f"{name}: {error}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name}: {', '.join(named(each) for each in error.exceptions)}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: errno {error.errno}"
    status = getattr(error, "status_code", getattr(error, "status", None))
    return f"{name}: status {status}" if isinstance(status, int) else name


def without_texts(trace: str) -> str:
    """Take what errors say out of a traceback that was written where nobody was discreet."""
    kept = []
    for line in trace.splitlines():
        if line.startswith((TRACE_BEGINS, '  File "', "session_store.errors.")):
            kept.append(line)
        elif found := _TYPE.match(line):
            kept.append(found[0])
    return "\n".join(kept)
