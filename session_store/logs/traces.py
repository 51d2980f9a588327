"""Tracebacks that name errors and places, without the texts of the errors.

The text of an error may quote anything: typed words, a prompt, an answer of a model. Its type and
the place where it was raised are enough to fix it.
"""

from __future__ import annotations

import re
import traceback
from typing import Final

from session_store.errors import SessionStoreError

_BECAUSE: Final = "The above was the direct cause of:"
_MEANWHILE: Final = "While the above was handled:"
_MOST: Final = 10
"""The most errors of a chain. More mean a loop."""
TRACE_BEGINS: Final = "Traceback (most recent call last):"
_TYPE: Final = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b(?=:|$)")
"""How the last line of a traceback begins."""


def trace_of(error: BaseException) -> str:
    """Return the traceback of an error and of its causes, without their texts."""
    parts: list[str] = []
    current: BaseException | None = error
    for _ in range(_MOST):
        if current is None:
            break
        frames = "".join(traceback.format_tb(current.__traceback__)).rstrip("\n")
        begin = f"{TRACE_BEGINS}\n{frames}\n" if frames else ""
        parts.append(begin + named(current))
        if current.__cause__ is not None:
            parts.append(_BECAUSE)
            current = current.__cause__
        elif current.__context__ is not None and not current.__suppress_context__:
            parts.append(_MEANWHILE)
            current = current.__context__
        else:
            current = None
    return "\n".join(reversed(parts)).removeprefix(f"{_BECAUSE}\n").removeprefix(f"{_MEANWHILE}\n")


def named(error: BaseException) -> str:
    """Name an error by its type and by details that hold nothing that a person said.

    Our own errors hold ids and advice. Others get their status, or the number that the operating
    system gives them.
    """
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    if isinstance(error, SessionStoreError):
        return f"{name}: {error}"
    if isinstance(error, BaseExceptionGroup):
        return f"{name}: {', '.join(named(member) for member in error.exceptions)}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: errno {error.errno}"
    status = getattr(error, "status_code", getattr(error, "status", None))
    return f"{name}: status {status}" if isinstance(status, int) else name


def without_texts(trace: str) -> str:
    """Remove the texts of errors from a traceback that another program wrote."""
    kept = []
    for line in trace.splitlines():
        if line.startswith((TRACE_BEGINS, '  File "', "session_store.errors.")):
            kept.append(line)
        elif found := _TYPE.match(line):
            kept.append(found[0])
    return "\n".join(kept)
