"""``audit``: the record of reveals, exports, erasures and rotations."""

import sys
from collections import deque
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from session_store.backends.redis.backend import RedisBackend
from session_store.backends.values import AuditEntry
from session_store.cli import options
from session_store.cli.command import command
from session_store.cli.connect import audit_of, connected_store, environment
from session_store.cli.exit_codes import Exit
from session_store.cli.options import Identity, IdentityStdin, Json, Participant
from session_store.cli.output import Column, document, note, say, table, when
from session_store.cli.target import connect_to, parse_target
from session_store.sealing.opening import time_of

_PAGE: Final = 1000

app = typer.Typer(
    name="audit",
    help="List or verify what was revealed, exported or erased.",
    rich_markup_mode=None,
    invoke_without_command=True,
)


@app.callback()
def before(context: typer.Context) -> None:
    """Show the help if no command was named."""
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")
        raise typer.Exit(Exit.USAGE)


@command(
    "list",
    epilog="Example: session-store audit list --since 7d --participant mzxw6ytboi4dsnrvgq2tembqgu.",
)
async def list_(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    since: Annotated[
        str, typer.Option(metavar="SPAN", help="How far back: 90m, 24h, 30d.")
    ] = "24h",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="The newest N of them.")] = 100,
    json: Json = False,
) -> Exit:
    """List entries of the audit stream, the oldest first, without verifying them."""
    target = parse_target(participant, identity, stdin=identity_stdin)
    first = datetime.now(UTC) - options.span(since)
    since_ms = max(0, round(first.timestamp() * 1000))
    async with connect_to(environment.settings(), target) as (backend, pseudonym):
        entries = await _newest(backend, since_ms, limit, pseudonym)
    if json:
        document({"entries": [{"id": each.id} | dict(each.fields) for each in entries]})
        return Exit.OK
    if not entries:
        note(f"no entries in the last {since}")
        return Exit.OK
    titles = ("at", "actor", "action", "participant", "session", "detail")
    columns = [Column(title) for title in titles]
    table(columns, [[_at(each), *(each.fields.get(t, "") for t in titles[1:])] for each in entries])
    return Exit.OK


async def _newest(
    backend: RedisBackend, since_ms: int, limit: int, participant: str | None
) -> list[AuditEntry]:
    newest: deque[AuditEntry] = deque(maxlen=limit)
    after = str(since_ms)
    while page := await backend.side.audited(after, _PAGE):
        newest.extend(
            each
            for each in page
            if participant is None or each.fields.get("participant") == participant
        )
        after = page[-1].id
    return list(newest)


def _at(entry: AuditEntry) -> str:
    return when(time_of(int(entry.id.partition("-")[0])))


@command("verify", epilog="Example: session-store audit verify --json.")
async def verify(*, json: Json = False) -> Exit:
    """Find entries that were changed, forged, moved or removed.

    It cannot see that a writer's newest entries are missing, or all its entries. If that matters
    to you, copy the stream elsewhere.
    """
    async with connected_store(environment.settings()) as (_, store):
        report = await audit_of(store).verify()
    if json:
        missing = [each._asdict() for each in report.missing]
        document({"intact": report.intact} | asdict(report) | {"missing": missing})
    else:
        if report.intact:
            say(f"{report.entries} entries, all intact")
        for entry_id in report.changed:
            say(f"{entry_id} was changed, or was not written by this library with these keys")
        for entry_id in report.misplaced:
            say(f"{entry_id} is not where it was written")
        for gap in report.missing:
            say(f"entries {gap.first} to {gap.last} of writer {gap.writer} were removed")
    return Exit.OK if report.intact else Exit.PROBLEM


list_.add_to(app)
verify.add_to(app)
