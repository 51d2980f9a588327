"""Keeps what people say out of the logs: a filter for every handler."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from typing_extensions import override

from session_store.logs.lines import extras
from session_store.logs.traces import TRACE_BEGINS, named, trace_of, without_texts

WITHHELD: Final = "withheld"
"""Names the field that lists the hidden fields of a line."""

_OURS: Final = ("session_store", "agent", "gateway")
"""Loggers that log only ids and counts. Any other logger may log content."""
_HEARD_BELOW_INFO: Final = ("livekit", "uvicorn")
"""Other loggers that may log below INFO. At that level, libraries log whole requests."""
_PLAIN: Final = "uvicorn"
"""Logs nothing of a request but its failure, and says why it cannot listen on a port."""
_SAFE: Final = frozenset(
    """
    agent_name attempt call_id category deployment dispatch_id error_type event_id exception_type
    function id impl_id import item_id job_id job_ids kind label llm method model output_type
    packages path plugin previous_item_id protocol provider provider_session_id reason region
    request_id room_id rtc-version runner session_id source speech_id stack state status stream_id
    stt task thread_name tool_name track_id trigger tts type url version what
    """.split()  # noqa: SIM905 (a list would take a line for each)
)
"""Fields of other loggers whose text is an id, or comes from a program, not from a person."""
_SAID_IN_COLOUR: Final = "color_message"
"""A second copy of uvicorn's message, for terminals."""
_OF_A_ROOM: Final = "room"
_SESSION_ID: Final = re.compile(r"[0-9A-Za-z]{26}")
"""Our rooms have the name of their session. Other rooms may have the name of a person."""
_TELLING: Final = re.compile(
    r"""(
        [^:]*\b(?:error|failed|failure|invalid|unexpected|unknown|unhandled)\b[^:]*:\  |
        (?:Task|Future)\ exception\ was\ never\ retrieved\n |
        Exception\ in\ callback\  |
        Unclosed\ [^\n]*\n
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""How messages begin that go on with the text of an error, or with input that was not valid."""


class Discretion(logging.Filter):
    """Removes everything from a record that a person may have said, and lets it pass.

    Fields marked as personal (``lk.pii.…``) are removed. Of other loggers, numbers and the texts
    of known fields stay; ``withheld`` names the removed fields. Tracebacks and messages lose the
    texts of errors. Filtering twice is the same as once.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        family = record.name.partition(".")[0]
        is_ours = family in _OURS
        if record.levelno < logging.INFO and not is_ours and family not in _HEARD_BELOW_INFO:
            return False
        _mend_trace(record)
        if not is_ours:
            _mend_message(record, is_plain=family == _PLAIN)
        _mend_fields(record, is_ours=is_ours)
        _name_session(record)
        return True


def _mend_trace(record: logging.LogRecord) -> None:
    given = vars(record)
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = trace_of(record.exc_info[1])
        record.exc_info = None
        given["_discreet"] = True
    elif record.exc_text:
        # The process of a job has put the traceback into the message too.
        if isinstance(record.msg, str):
            record.msg = record.msg.removesuffix(record.exc_text).rstrip("\n")
        if "_discreet" not in given:
            record.exc_text = without_texts(record.exc_text)
            given["_discreet"] = True


def _mend_message(record: logging.LogRecord, *, is_plain: bool) -> None:
    if isinstance(record.args, tuple) and record.args:
        record.args = tuple(
            named(argument) if isinstance(argument, BaseException) else argument
            for argument in record.args
        )
    if not isinstance(record.msg, str):
        record.msg, record.args = type(record.msg).__name__, None
        return
    try:
        message = record.getMessage()
    except (TypeError, ValueError, LookupError):
        # The arguments do not fit. A caller must not fail because it logs.
        message, record.args = record.msg, None
    head, trace, rest = message.partition(TRACE_BEGINS)
    if trace:
        record.msg, record.args = head + without_texts(trace + rest), None
    elif not is_plain and (found := _TELLING.match(message)):
        record.msg, record.args = f"{found[0].rstrip()} ({WITHHELD})", None


def _mend_fields(record: logging.LogRecord, *, is_ours: bool) -> None:
    hidden = []
    vars(record).pop(_SAID_IN_COLOUR, None)
    for name, value in list(extras(record)):
        if name == WITHHELD or (_may_be_shown(name, value, is_ours=is_ours)):
            continue
        if isinstance(value, BaseException):
            setattr(record, name, named(value))
        else:
            hidden.append(name)
            delattr(record, name)
    if hidden:
        setattr(record, WITHHELD, [*getattr(record, WITHHELD, []), *hidden])


def _name_session(record: logging.LogRecord) -> None:
    """Add the session id to lines that name its room, so that a search finds all lines."""
    given = vars(record)
    if _OF_A_ROOM in given and "session_id" not in given:
        given["session_id"] = given[_OF_A_ROOM]


def _may_be_shown(name: str, value: Any, *, is_ours: bool) -> bool:
    if "pii" in name.split("."):
        return False
    if value is None or isinstance(value, bool | int | float):
        return True
    if isinstance(value, BaseException):
        return False
    if name == _OF_A_ROOM:
        return isinstance(value, str) and _SESSION_ID.fullmatch(value) is not None
    return is_ours or (name in _SAFE and _is_text(value))


def _is_text(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str)
