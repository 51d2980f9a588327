"""Putting handlers, lines and discretion together, and hearing what ends a process."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from session_store.logs.discretion import Discretion
from session_store.logs.lines import JsonLines, TextLines

if TYPE_CHECKING:
    from types import TracebackType

    from session_store.logs.settings import LogSettings

_DISCREET: Final = Discretion()
_OWN: Final = "session_store.logs"
"""The handler that ``configure`` makes."""
logger = logging.getLogger(_OWN)


def configure(settings: LogSettings, *fields: logging.Filter, stream: TextIO | None = None) -> None:
    """Log to a stream and nowhere else.

    Args:
        settings: in which form, and from which level on.
        *fields: filters that add fields to each line.
        stream: standard error by default.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.set_name(_OWN)
    is_json = settings.is_json(on_terminal=stream.isatty())
    handler.setFormatter(JsonLines() if is_json else TextLines())
    for each in fields:
        handler.addFilter(each)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    guard()


def adopt(settings: LogSettings) -> None:
    """Take over the handlers that LiveKit has made: their JSON is ours from now on.

    Its coloured text stays as it is, for people. What ``configure`` has made goes.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if handler.name == _OWN:
            root.removeHandler(handler)
        elif isinstance(handler, logging.StreamHandler):
            on_terminal = handler.stream.isatty()
            if settings.is_json(on_terminal=on_terminal):
                handler.setFormatter(JsonLines())
    guard()


def guard() -> None:
    """Make every handler of this process discreet, and log what would go to standard error."""
    for handler in logging.getLogger().handlers:
        if _DISCREET not in handler.filters:
            # Behind those that add fields.
            handler.addFilter(_DISCREET)
    logging.captureWarnings(capture=True)
    sys.excepthook = _on_end
    threading.excepthook = _on_end_of_thread
    sys.unraisablehook = _on_unraisable


def _on_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.critical("the process ends by an error", exc_info=(kind, error, trace))


def _on_end_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        logger.error("a thread ended by an error", exc_info=args.exc_value)


def _on_unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        logger.error("an error that nobody could be told", exc_info=args.exc_value)
