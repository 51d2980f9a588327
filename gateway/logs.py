"""Logging of the gateway: one line per event, with the ids that were given as ``extra``."""

from __future__ import annotations

import logging
import sys
from typing import Final

_SHOWN_EXTRAS: Final = ("session_id", "again", "dispatches", "reason")


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        extras = [
            f"{name}={record.__dict__[name]}" for name in _SHOWN_EXTRAS if name in record.__dict__
        ]
        return " ".join([line, *extras])


def configure() -> None:
    """Log to standard error at INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
