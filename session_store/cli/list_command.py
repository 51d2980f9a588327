"""``list``: sessions, with their numbers and without their content."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from session_store.backends.redis.backend import RedisBackend
from session_store.backends.values import StoredSession
from session_store.cli import session_index
from session_store.cli.command import command
from session_store.cli.connect import environment
from session_store.cli.exit_codes import Exit
from session_store.cli.options import Identity, IdentityStdin, Json, Limit, Offset, Participant
from session_store.cli.output import Column, ago, as_dict, document, note, span, table
from session_store.cli.target import connect_to, parse_target
from session_store.errors import (
    LoginRefused,
    PermissionMissing,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from session_store.sealing.opening import time_of
from session_store.upkeep.analytics import SessionCounts

_BROKEN: Final = "broken"
_OF_THE_STORE: Final = (StoreUnavailable, LoginRefused, PermissionMissing, StoreReadOnly, StoreFull)
"""Errors that do not come from a single session."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One session of the list."""

    participant: str
    session_id: str
    stored: StoredSession | None
    """``None`` if even the session's numbers cannot be read."""

    def as_json(self) -> dict[str, Any]:
        named = {"participant": self.participant, "session_id": self.session_id}
        if self.stored is None:
            return named | {"state": _BROKEN}
        return named | as_dict(SessionCounts.of(self.stored))

    def as_cells(self) -> list[str]:
        if self.stored is None:
            return [self.session_id, _BROKEN, "-", "-", "-", "-"]
        counts = SessionCounts.of(self.stored)
        return [
            counts.session_id,
            counts.state.value,
            ago(counts.last_seen, time_of(self.stored.now)),
            str(counts.turns),
            str(counts.returns),
            span(counts.talk_s),
        ]


@command(
    "list",
    epilog="Examples: session-store list --limit 50; "
    "session-store list --participant mzxw6ytboi4dsnrvgq2tembqgu --json.",
)
async def list_(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    offset: Offset = 0,
    limit: Limit = 20,
    json: Json = False,
) -> Exit:
    """List sessions and their numbers, without opening any.

    The sessions of one participant come newest first. Without a participant, it lists all
    stored sessions, live or ended. Their order means nothing, because Redis has no list of all
    sessions: they are gathered from the deadlines of its 1024 shards.
    """
    target = parse_target(participant, identity, stdin=identity_stdin)
    async with connect_to(environment.settings(), target) as (backend, pseudonym):
        if pseudonym is None:
            total, rows = await _all_sessions(backend, offset, limit)
        else:
            page = await backend.sessions(pseudonym, offset=offset, limit=limit)
            total = page.total
            rows = [_Row(pseudonym, stored.id, stored) for stored in page.sessions]
    if json:
        sessions = [row.as_json() for row in rows]
        document({"total": total, "offset": offset, "sessions": sessions})
    elif rows:
        _print(rows, one_participant=pseudonym is not None)
    if not total:
        note("there are no sessions")
        return Exit.NOT_FOUND if pseudonym is not None else Exit.OK
    if not json and offset + limit < total:
        note(f"{total} sessions in all; continue with --offset {offset + limit}")
    return Exit.PROBLEM if any(row.stored is None for row in rows) else Exit.OK


async def _all_sessions(backend: RedisBackend, offset: int, limit: int) -> tuple[int, list[_Row]]:
    total, page = await session_index.page(backend, offset=offset, limit=limit)
    loaded = await asyncio.gather(
        *(backend.load(*each, last=0, work=False) for each in page), return_exceptions=True
    )
    rows = []
    for each, stored in zip(page, loaded, strict=True):
        if isinstance(stored, _OF_THE_STORE):
            raise stored
        if isinstance(stored, BaseException):
            # A damaged session must not hide the others.
            rows.append(_Row(each.participant, each.session_id, None))
        elif stored is not None:
            # A session that expired without a sweeper leaves its deadline behind.
            rows.append(_Row(each.participant, each.session_id, stored))
    return total, rows


def _print(rows: list[_Row], *, one_participant: bool) -> None:
    numbers = ("last seen", "turns", "returns", "talk")
    columns = [Column("session"), Column("state"), *(Column(each, right=True) for each in numbers)]
    cells = [row.as_cells() for row in rows]
    if not one_participant:
        # Two ids fill a narrow screen; the list of one participant has the rest.
        columns = [Column("participant"), *columns[:4]]
        cells = [[row.participant, *each[:4]] for row, each in zip(rows, cells, strict=True)]
    table(columns, cells)
