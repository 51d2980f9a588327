"""Options that several commands share, and how their values are read."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import typer

from session_store.cli.exits import usage

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Participant = Annotated[
    str | None,
    typer.Option(
        "--participant",
        metavar="PSEUDONYM",
        help="Whom: the 26 characters that list and watch show.",
    ),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity",
        metavar="TEXT",
        help="Whom: the identity that the pseudonym is derived from. Others on this machine see "
        "it in the list of processes; for a secret one take --identity-stdin.",
    ),
]
IdentityStdin = Annotated[
    bool,
    typer.Option("--identity-stdin", help="Whom: the first line of standard input."),
]
Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show content, too. This is audited before it is shown."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Reason = Annotated[
    str,
    typer.Option(
        metavar="WORD", help="Noted in the audit stream, in clear: a ticket's number, no name."
    ),
]
SessionId = Annotated[
    str, typer.Argument(metavar="SESSION", help="The id of a session.", show_default=False)
]
Offset = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the first N.")]
Limit = Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Show N at most.")]

_SESSION_ID: Final = re.compile(r"[0-9A-Za-z]{26}")
_SPAN: Final = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def session_id(text: str) -> str:
    """Read the id of a session."""
    if _SESSION_ID.fullmatch(text) is None:
        raise usage("a session id has 26 letters and digits, as list shows it")
    return text


def span(text: str) -> timedelta:
    """Read a duration: ``90s``, ``30m``, ``12h``, ``3d``, or seconds."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise usage("a duration is a number and one of s, m, h, d: 90s, 30m, 12h, 3d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def day(text: str) -> date:
    """Read a day: ``2026-02-28``, or ``today``, in UTC."""
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise usage("a day is written 2026-02-28, or today (UTC)") from None
