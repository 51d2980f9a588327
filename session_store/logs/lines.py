"""Turns records into lines. The JSON has the same fields as that of livekit-agents."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_EVERY_RECORD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
)


def extras(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yield the fields that a record was given as ``extra``."""
    for name, value in vars(record).items():
        if name not in _OF_EVERY_RECORD and not name.startswith("_"):
            yield name, value


class JsonLines(logging.Formatter):
    """One JSON object per line: ASCII, so that no encoding breaks it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "message": record.getMessage(),
            "level": record.levelname,
            "name": record.name,
        }
        trace = record.exc_text or (
            self.formatException(record.exc_info) if record.exc_info else ""
        )
        if trace:
            fields["exc_info"] = trace
        if record.stack_info:
            fields["stack_info"] = record.stack_info
        fields.update(extras(record))
        fields.setdefault("pid", record.process)
        fields.setdefault("code.file.path", record.pathname)
        fields.setdefault("code.function.name", record.funcName)
        fields.setdefault("code.line.number", record.lineno)
        fields["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        return json.dumps(fields, default=str)


class TextLines(logging.Formatter):
    """For people: level, logger, message, and the ids behind it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        said = [f"{name}={value}" for name, value in extras(record)]
        return " ".join([super().formatMessage(record), *said])
