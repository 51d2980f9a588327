"""Options that several commands share, and how their values are read."""

import re
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import typer

from session_store.backends.base import Backend
from session_store.cli.exits import Ended, usage
from session_store.cli.index import participant_of
from session_store.crypto import Keyring
from session_store.errors import InvalidValue
from session_store.keys import ParticipantKeys
from session_store.settings import StoreSettings
from session_store.store import pseudonym_of

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Participant = Annotated[
    str | None,
    typer.Option(
        "--participant", metavar="PSEUDONYM", help="Whom: the 26 characters that list shows."
    ),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity",
        metavar="TEXT",
        help="Whom: the identity that the pseudonym is derived from. Others on this machine can "
        "see it in the list of processes; for a secret one take --identity-stdin.",
    ),
]
IdentityStdin = Annotated[
    bool, typer.Option("--identity-stdin", help="Whom: read the identity from standard input.")
]
Reveal = Annotated[
    bool,
    typer.Option("--reveal", help="Show what was said, too. It is audited before it is shown."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The id of a session.")]
Offset = Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the first N.")]
Limit = Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Show N at most.")]

_SESSION_ID: Final = re.compile(r"[0-9A-Za-z]{26}")
