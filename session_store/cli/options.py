"""Options that several commands share, and the readers of their values."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import typer

from session_store.cli.exit_codes import usage_error

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Participant = Annotated[
    str | None,
    typer.Option(
        "--participant",
        metavar="PSEUDONYM",
        help="The participant's pseudonym: 26 characters, as list and watch show them.",
    ),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity",
        metavar="TEXT",
        help="The participant's identity, from which the pseudonym is derived. Other users of this "
        "machine see it in the list of processes; use --identity-stdin for a secret one.",
    ),
]
IdentityStdin = Annotated[
    bool,
    typer.Option(
        "--identity-stdin",
        help="Read the participant's identity from the first line of standard input.",
    ),
]
Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show content too. This is audited first."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Reason = Annotated[
    str,
    typer.Option(
        metavar="WORD",
        help="A ticket's number for the audit stream. It is stored in clear: no names.",
    ),
]
SessionId = Annotated[
    str, typer.Argument(metavar="SESSION", help="The id of a session.", show_default=False)
]
Offset = Annotated[int, typer.Option(min=0, metavar="N", help="Skip the first N.")]
Limit = Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Show at most N.")]

_SESSION_ID: Final = re.compile(r"[0-9A-Za-z]{26}")
_SPAN: Final = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def session_id(text: str) -> str:
    """Read the id of a session."""
    if _SESSION_ID.fullmatch(text) is None:
        raise usage_error("a session id has 26 letters and digits; list shows it")
    return text


def span(text: str) -> timedelta:
    """Read a duration: ``90s``, ``30m``, ``12h``, ``3d``, or seconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise usage_error("a duration is a number and one of s, m, h, d: 90s, 30m, 12h, 3d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def day(text: str) -> date:
    """Read a day: ``2026-02-28``, or ``today``, in UTC."""
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise usage_error("a day is written 2026-02-28, or today (UTC)") from None
