"""Log lines: their shape, and what is kept out of them."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from session_store import SessionStoreError, StoreUnavailable
from session_store.logs import Discretion, JsonLines, LogSettings, adopt, configure
from session_store.logs.traces import named, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "my parrot is called Leonardo"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Give the process its own logging back."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = hook


class Lines(io.StringIO):
    """What is logged, line by line."""

    @property
    def parsed(self) -> list[dict[str, Any]]:
        """Return all lines, each a JSON object."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Lines:
    """Log everything as JSON into memory."""
    stream = Lines()
    configure(LogSettings(log_format="json", log_level="DEBUG"), stream=stream)
    return stream


def failed(error: Exception) -> Exception:
    """Raise an error, so that it has a traceback."""
    try:
        raise error
    except type(error) as raised:
        return raised


def test_a_line_has_the_fields_that_livekit_gives_its_own() -> None:
    """One parser reads the lines of all programs."""
    from livekit.agents.cli.log import JsonFormatter  # noqa: PLC0415 (slow to import)

    record = logging.makeLogRecord(
        {"name": "gateway.rooms", "msg": "sending an agent", "levelno": 20, "levelname": "INFO"}
    )
    record.session_id = "s" * 26
    ours = json.loads(JsonLines().format(record))
    theirs = json.loads(JsonFormatter().format(record))

    assert ours == theirs
    assert list(ours)[:3] == ["message", "level", "name"]


def test_what_is_given_as_extra_is_a_field(lines: Lines) -> None:
    """Ids and counts stand beside the message, under their own names."""
    logging.getLogger("agent.worker").info("joined", extra={"session_id": "abc", "visit": 2})

    [line] = lines.parsed
    assert (line["message"], line["session_id"], line["visit"]) == ("joined", "abc", 2)
    assert line["level"] == "INFO"


def test_text_for_people_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Level, logger, message, and the fields behind it."""
    configure(LogSettings(log_format="text"))
    logging.getLogger("gateway.rooms").warning("not sent", extra={"session_id": "abc"})

    assert capsys.readouterr().err == "WARNING gateway.rooms: not sent session_id=abc\n"


@pytest.mark.parametrize("format_", ["json", "text"])
def test_what_an_error_says_is_not_logged(format_: str) -> None:
    """Its type is, and where it was raised: its message may quote a participant."""
    stream = io.StringIO()
    configure(LogSettings(log_format=format_), stream=stream)
    error = failed(ValueError(SECRET))
    error.__cause__ = failed(KeyError(SECRET))
    logging.getLogger("agent.worker").error("it failed", exc_info=error)

    logged = stream.getvalue()
    assert SECRET not in logged
    assert "KeyError" in logged
    assert "ValueError" in logged
    assert "in failed" in logged


def test_what_our_errors_say_is_logged() -> None:
    """They hold ids and what to do, by the rules of this project."""
    error = failed(StoreUnavailable("Redis does not answer"))

    assert trace_of(error).endswith("session_store.errors.StoreUnavailable: Redis does not answer")


def test_causes_are_told_in_the_order_they_happened() -> None:
    """First what began it, as Python itself tells it."""
    first, second = KeyError("a"), ValueError("b")
    first.__cause__ = OSError(111, "refused")
    second.__context__ = first

    told = trace_of(second)

    assert told.index("errno 111") < told.index("KeyError") < told.index("ValueError")


def test_a_chain_without_end_is_cut() -> None:
    """Errors that name each other as causes do not stop the log."""
    first, second = KeyError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert trace_of(first).count("KeyError") <= 10


def test_a_provider_s_status_is_told_without_its_text() -> None:
    """What an operator needs of it is its number."""

    class APIStatusError(Exception):
        status_code = 429

    assert named(APIStatusError(SECRET)).endswith("APIStatusError: status 429")
    group = ExceptionGroup(SECRET, [ValueError(SECRET), SessionStoreError("ours")])
    assert SECRET not in named(group)
    assert "ours" in named(group)


def test_an_input_that_does_not_fit_is_not_logged(lines: Lines) -> None:
    """Pydantic quotes what it was given."""

    class Model(BaseModel):
        number: int

    with pytest.raises(ValidationError) as refused:
        Model.model_validate({"number": SECRET})
    logging.getLogger("agent").error("refused", exc_info=refused.value)
    logging.getLogger("livekit.agents").error("refused", extra={"error": refused.value})

    assert SECRET in str(refused.value)
    assert "Leonardo" not in lines.getvalue()
    assert lines.parsed[1]["error"] == "pydantic_core._pydantic_core.ValidationError"


def test_fields_marked_as_personal_are_withheld(lines: Lines) -> None:
    """LiveKit marks them by a part of their names, wherever they come from."""
    for name in ("livekit.agents", "agent.worker"):
        logging.getLogger(name).debug(
            "received user transcript", extra={"lk.pii.user_transcript": SECRET, "delay": 0.25}
        )

    for line in lines.parsed:
        assert line["withheld"] == ["lk.pii.user_transcript"]
        assert line["delay"] == 0.25
        assert "lk.pii.user_transcript" not in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("participant", "maria@example.org"),
        ("identity", "maria@example.org"),
        ("room", "maria's kitchen"),
        ("job_request", {"participant": {"identity": "maria"}}),
        ("added", ["Leonardo"]),
        ("headers", {"Authorization": "Token t"}),
        ("never_heard_of", SECRET),
        ("status", {"participant": "maria"}),
    ],
)
def test_of_others_only_known_fields_are_shown(lines: Lines, field: str, value: Any) -> None:
    """An unknown field may hold anything; its name is told."""
    logging.getLogger("livekit.agents").info("something", extra={field: value, "job_id": "AJ_1"})

    [line] = lines.parsed
    assert line["withheld"] == [field]
    assert field not in line
    assert line["job_id"] == "AJ_1"


def test_a_room_with_a_session_s_name_is_shown(lines: Lines) -> None:
    """Our gateway names rooms so: then the line is one of that session."""
    logging.getLogger("livekit.agents").info("received job", extra={"room": "0" * 26})

    assert lines.parsed[0]["room"] == lines.parsed[0]["session_id"] == "0" * 26


@pytest.mark.parametrize(
    "message",
    [
        f"failed to generate LLM completion: message='{SECRET}', retrying in 0.1s",
        f"AgentSession is closing due to unrecoverable error: {SECRET}",
        f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{SECRET}')>",
        f"unexpected turn detector message: {SECRET}",
    ],
)
def test_an_error_within_a_message_is_cut_off(lines: Lines, message: str) -> None:
    """What is in front of it says what failed."""
    logging.getLogger("asyncio").error(message)

    [line] = lines.parsed
    assert "Leonardo" not in json.dumps(line)
    assert message.startswith(line["message"].removesuffix(" (withheld)"))
    assert line["message"].endswith(" (withheld)")


def test_an_error_as_an_argument_is_named(lines: Lines) -> None:
    """``logger.warning("...%s", error)`` logs which error it was."""
    logging.getLogger("livekit.agents").warning("could not close %s", ValueError(SECRET))

    assert lines.parsed[0]["message"] == "could not close ValueError"


def test_a_line_of_a_job_s_process_loses_what_its_error_says(lines: Lines) -> None:
    """It arrives with the traceback as text, in the message too."""
    trace = f'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: {SECRET}'
    record = logging.makeLogRecord(
        {
            "name": "livekit.agents",
            "levelno": 40,
            "levelname": "ERROR",
            "msg": f"unhandled exception\n{trace}",
            "exc_text": trace,
        }
    )
    logging.getLogger().handle(record)

    [line] = lines.parsed
    assert line["message"] == "unhandled exception"
    assert line["exc_info"] == trace.removesuffix(f": {SECRET}")


def test_a_traceback_within_a_message_loses_what_its_error_says(lines: Lines) -> None:
    """Uvicorn logs so why the application did not start; what our own errors say stays."""
    trace = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    do(what)\n'
        f"ValueError: {SECRET}\nsession_store.errors.WrongKey: other keys\n"
    )
    logging.getLogger("uvicorn.error").error(trace, extra={"color_message": "x"})

    [line] = lines.parsed
    assert line["message"].splitlines() == [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "ValueError",
        "session_store.errors.WrongKey: other keys",
    ]
    assert "color_message" not in line


def test_twice_is_the_same_as_once() -> None:
    """A job's line passes in its own process, and again in the worker's."""
    record = logging.makeLogRecord(
        {"name": "livekit.agents", "levelno": 40, "msg": "failed to say: x"}
    )
    record.participant = "maria"
    error = failed(ValueError(SECRET))
    record.exc_info = (ValueError, error, error.__traceback__)
    discretion = Discretion()
    discretion.filter(record)
    once = JsonLines().format(record)
    discretion.filter(record)

    assert JsonLines().format(record) == once
    assert "ValueError" in once


def test_arguments_that_do_not_fit_stop_nobody(lines: Lines) -> None:
    """A wrong line of some library is logged as it is."""
    logging.getLogger("livekit.agents").info("%d of %d", "one")  # noqa: PLE1206 (that is meant)

    assert lines.parsed[0]["message"] == "%d of %d"


def test_libraries_are_not_heard_below_info(lines: Lines) -> None:
    """There, clients of models log requests as they are."""
    logging.getLogger("openai._base_client").debug("Request options: %s", {"messages": SECRET})
    logging.getLogger("session_store.store").debug("ours")

    assert [line["message"] for line in lines.parsed] == ["ours"]


def test_a_warning_and_the_end_of_a_thread_are_lines_too(lines: Lines) -> None:
    """What Python would write to standard error is logged, without what it says."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # pytest hears them itself, until they are again.
        logging.captureWarnings(capture=True)
        warnings.warn("something is deprecated", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    def end() -> None:
        raise ValueError(SECRET)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    error = failed(RuntimeError(SECRET))
    sys.excepthook(RuntimeError, error, error.__traceback__)

    assert [line["name"] for line in lines.parsed] == [
        "py.warnings",
        "session_store.logs",
        "session_store.logs",
    ]
    assert "Leonardo" not in lines.getvalue()


def test_livekit_s_handler_is_taken_over() -> None:
    """Its JSON has our shape and our discretion; its text for people stays."""
    stream = Lines()
    root = logging.getLogger()
    configure(LogSettings(log_format="json"), stream=io.StringIO())
    root.addHandler(logging.StreamHandler(stream))
    adopt(LogSettings(log_format="json"))
    adopt(LogSettings(log_format="json"))
    logging.getLogger("livekit.agents").info("x", extra={"identity": "maria"})

    assert lines_of(stream) == [("x", ["identity"])]
    assert len(root.handlers[0].filters) == 1


def lines_of(stream: Lines) -> list[tuple[str, list[str]]]:
    """Return messages, and what was withheld."""
    return [(line["message"], line["withheld"]) for line in stream.parsed]


def test_by_default_people_get_text_and_machines_json() -> None:
    """A person reads what is written to a terminal."""
    settings = LogSettings()
    assert settings.is_json(on_terminal=False)
    assert not settings.is_json(on_terminal=True)
    assert LogSettings(log_format="json").is_json(on_terminal=True)
    assert not LogSettings(log_format="text").is_json(on_terminal=False)
    assert LogSettings.model_validate({"log_level": "debug"}).log_level == "DEBUG"
