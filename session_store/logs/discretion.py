"""What keeps anybody's words out of the logs: a filter of every handler."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from typing_extensions import override

from session_store.logs.lines import extras
from session_store.logs.traces import TRACE_BEGINS, named, trace_of, without_texts

WITHHELD: Final = "withheld"
"""Field that names the fields of a line which are not shown."""

_OURS: Final = ("session_store", "agent", "gateway")
"""Loggers whose lines hold ids and counts by themselves. Of all others, who knows."""
_HEARD_BELOW_INFO: Final = ("livekit", "uvicorn")
"""Of the other loggers: at that level, libraries log requests as they are."""
_PLAIN: Final = "uvicorn"
"""Says of requests no more than that one has failed; and where it cannot listen, which helps."""
_SAFE: Final = frozenset(
    """
    agent_name attempt call_id category deployment dispatch_id error_type event_id exception_type
    function id impl_id import item_id job_id job_ids kind label llm method model output_type
    packages path plugin previous_item_id protocol provider provider_session_id reason region
    request_id room_id rtc-version runner session_id source speech_id stack state status stream_id
    stt task thread_name tool_name track_id trigger tts type url version what
    """.split()  # noqa: SIM905 (a list would take a line for each)
)
"""Fields of others whose text is an id, or comes from a program and not from a person."""
_SAID_IN_COLOUR: Final = "color_message"
"""Uvicorn's message once more, for terminals."""
_OF_A_ROOM: Final = "room"
_SESSION_ID: Final = re.compile(r"[0-9A-Za-z]{26}")
"""A room of ours has its session's name. Any other may be named after somebody."""
_TELLING: Final = re.compile(
    r"""(
        [^:]*\b(?:error|failed|failure|invalid|unexpected|unknown|unhandled)\b[^:]*:\  |
        (?:Task|Future)\ exception\ was\ never\ retrieved\n |
        Exception\ in\ callback\  |
        Unclosed\ [^\n]*\n
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""How messages begin behind which an error's own text follows, or what was not understood."""


class Discretion(logging.Filter):
    """Takes out of a record what may hold somebody's words, and lets it pass.

    Fields that are marked as personal (``lk.pii.…``) go. Of loggers that are not ours, numbers
    stay, and texts of known fields; the others are named in ``withheld``. Tracebacks and messages
    lose what errors say. Twice is the same as once.
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
        # From a job's process, which has put it into the message too.
        if isinstance(record.msg, str):
            record.msg = record.msg.removesuffix(record.exc_text).rstrip("\n")
        if "_discreet" not in given:
            record.exc_text = without_texts(record.exc_text)
            given["_discreet"] = True


def _mend_message(record: logging.LogRecord, *, is_plain: bool) -> None:
    if isinstance(record.args, tuple) and record.args:
        record.args = tuple(
            named(each) if isinstance(each, BaseException) else each for each in record.args
        )
    if not isinstance(record.msg, str):
        record.msg, record.args = type(record.msg).__name__, None
        return
    try:
        message = record.getMessage()
    except (TypeError, ValueError, LookupError):
        # Arguments that do not fit. Whoever logs must not fail by it.
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
    """Name the session, where LiveKit names its room: whoever looks for one finds all its lines."""
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
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str)
