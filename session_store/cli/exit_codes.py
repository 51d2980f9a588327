"""How the program ends: one exit code and one line for each kind of error."""

from __future__ import annotations

from enum import IntEnum

from pydantic import ValidationError
from typer.exceptions import TyperException

from session_store.errors import (
    InvalidValue,
    KeyringError,
    SealBroken,
    SessionGone,
    SessionStoreError,
    StoreRefused,
    StoreUnavailable,
    UnknownSchema,
)
from session_store.settings import explain


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    PROBLEM = 1
    """It ran and found something wrong, or the operator did not confirm."""
    USAGE = 2
    """The command line or a setting is wrong; nothing was done."""
    UNREACHABLE = 3
    """Redis did not answer; try again later."""
    NOT_FOUND = 4
    """There is no such participant or session."""
    KEYS = 5
    """Keys are missing or wrong, or something stored does not open with them."""
    REFUSED = 6
    """Redis refused: login, permission, a read-only or a full server."""
    DEFECT = 70
    """This program is wrong; --debug shows where."""


EXPLAINED = (
    "Exit codes: 0 all is well; 1 something is wrong, or was not confirmed; 2 wrong usage or "
    "settings; 3 Redis does not answer; 4 no such participant or session; 5 keys are missing or "
    "wrong, or a seal is broken; 6 Redis refuses (login, permission, read-only, full)."
)


class CommandFailed(Exception):
    """Ends the program with an exit code and a line that says why."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


def usage_error(message: str) -> CommandFailed:
    """Return the error for a command line that is not valid."""
    return CommandFailed(Exit.USAGE, message)


def not_found_error(message: str) -> CommandFailed:
    """Return the error for a participant or session that does not exist."""
    return CommandFailed(Exit.NOT_FOUND, message)


_CODES: tuple[tuple[type[SessionStoreError], Exit], ...] = (
    (StoreUnavailable, Exit.UNREACHABLE),
    (StoreRefused, Exit.REFUSED),
    (KeyringError, Exit.KEYS),
    (SealBroken, Exit.KEYS),
    (UnknownSchema, Exit.KEYS),
    (SessionGone, Exit.NOT_FOUND),
    (InvalidValue, Exit.USAGE),
)


def exit_of(error: Exception) -> tuple[Exit, str] | None:
    """Return exit code and line of an expected error; ``None`` for any other error."""
    if isinstance(error, CommandFailed):
        return error.code, str(error)
    if isinstance(error, TyperException):
        return Exit.USAGE, f"{error.format_message()} (--help tells more)"
    if isinstance(error, ValidationError):
        return Exit.USAGE, explain(error)
    if isinstance(error, SessionStoreError):
        code = next((code for kind, code in _CODES if isinstance(error, kind)), Exit.PROBLEM)
        return code, str(error)
    if isinstance(error, OSError):
        return Exit.PROBLEM, f"{error.filename}: {error.strerror}"
    return None
