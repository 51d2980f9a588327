"""``list``: sessions in numbers."""

import asyncio

import typer

from session_store.analytics import SessionCounts
from session_store.backends.base import StoredSession
from session_store.backends.redis import RedisBackend
from session_store.cli import index
from session_store.cli.exits import Exit
from session_store.cli.opened import environment
from session_store.cli.options import Identity, IdentityStdin, Json, Limit, Offset, Participant
from session_store.cli.output import Column, ago, as_dict, document, note, span, table
from session_store.cli.running import run
from session_store.cli.who import Who, looking_at, named
from session_store.reading import time_of


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command(
        "list",
        epilog="Examples: session-store list --limit 50; "
        "session-store list --participant mzxw6ytboi4dsnrvgq2tembqgu --json.",
    )(list_)


def list_(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    offset: Offset = 0,
    limit: Limit = 20,
    json: Json = False,
) -> int:
    """List sessions in numbers, without opening any.

    Those of one participant come newest first. Without one, all sessions that are kept are
    listed, live or ended, in an order without meaning: Redis holds no list of everybody, so they
    are gathered from the deadlines of its 1024 shards.
    """
    who = named(participant, identity, stdin=identity_stdin)
    return run(_list(who, offset, limit, json=json))


async def _list(who: Who, offset: int, limit: int, *, json: bool) -> Exit:
    async with looking_at(environment.settings(), who) as (backend, participant):
        if participant is None:
            total, found = await _everybody(backend, offset, limit)
        else:
            page = await backend.sessions(participant, offset=offset, limit=limit)
            total, found = page.total, [(participant, stored) for stored in page.sessions]
    if json:
        sessions = [
            {"participant": owner} | as_dict(SessionCounts.of(stored)) for owner, stored in found
        ]
        document({"total": total, "offset": offset, "sessions": sessions})
    elif found:
        _print(found, alone=participant is not None)
    if not total:
        note("there are no sessions")
        return Exit.NOT_FOUND if participant is not None else Exit.OK
    if not json and offset + limit < total:
        note(f"{total} sessions in all; go on with --offset {offset + limit}")
    return Exit.OK


async def _everybody(
    backend: RedisBackend, offset: int, limit: int
) -> tuple[int, list[tuple[str, StoredSession]]]:
    total, page = await index.page(backend.transport, offset=offset, limit=limit)
    loaded = await asyncio.gather(*(backend.load(*each, last=0) for each in page))
    # A session that expired without a sweeper has left its deadline behind.
    found = zip(page, loaded, strict=True)
    return total, [(each.participant, stored) for each, stored in found if stored is not None]


def _print(found: list[tuple[str, StoredSession]], *, alone: bool) -> None:
    numbers = ("last seen", "turns", "returns", "talk")
    columns = [Column("session"), Column("state"), *(Column(each, right=True) for each in numbers)]
    rows = [_row(stored) for _, stored in found]
    if not alone:
        # Two ids fill a narrow screen; the rest is in the list of one participant.
        columns = [Column("participant"), *columns[:4]]
        rows = [[owner, *row[:4]] for (owner, _), row in zip(found, rows, strict=True)]
    table(columns, rows)


def _row(stored: StoredSession) -> list[str]:
    counts = SessionCounts.of(stored)
    return [
        counts.session_id,
        counts.state.value,
        ago(counts.last_seen, time_of(stored.now)),
        str(counts.turns),
        str(counts.returns),
        span(counts.talk_s),
    ]
