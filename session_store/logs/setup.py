"""Sets up handlers, lines and discretion, and logs the error that ends a process."""

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
        settings: form and level of the lines.
        *fields: filters that add fields to each line.
        stream: standard error by default.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.set_name(_OWN)
    is_json = settings.is_json(on_terminal=stream.isatty())
    handler.setFormatter(JsonLines() if is_json else TextLines())
    for field_filter in fields:
        handler.addFilter(field_filter)
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    guard()


def adopt(settings: LogSettings) -> None:
    """Take over LiveKit's handlers: their JSON gets our shape.

    LiveKit's coloured text stays as it is. The handler of ``configure`` is removed.
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
    """Filter every handler of this process, and log errors that would go to standard error."""
    for handler in logging.getLogger().handlers:
        if _DISCREET not in handler.filters:
            # It goes behind the filters that add fields.
            handler.addFilter(_DISCREET)
    logging.captureWarnings(capture=True)
    sys.excepthook = _on_end
    threading.excepthook = _on_end_of_thread
    sys.unraisablehook = _on_unraisable


def _on_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logger.critical("an error ends the process", exc_info=(kind, error, trace))


def _on_end_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        logger.error("an error ended a thread", exc_info=args.exc_value)


def _on_unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        logger.error("an error was raised where no caller can catch it", exc_info=args.exc_value)
