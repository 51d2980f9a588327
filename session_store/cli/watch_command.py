"""``watch``: events as they happen."""

import sys
from contextlib import aclosing
from typing import Annotated

import typer

from session_store.cli.command import command, until_stopped
from session_store.cli.connect import environment
from session_store.cli.exit_codes import Exit
from session_store.cli.options import Identity, IdentityStdin, Participant
from session_store.cli.output import event_line, line, note, say
from session_store.cli.target import Target, connect_to, parse_target
from session_store.event_stream import read_events
from session_store.events import Event


@command(
    "watch",
    epilog="Example: session-store watch --json | jq -c 'select(.type == \"takeover\")'.",
)
async def watch(
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Stop after N events.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> int:
    """Print events as they happen, until Ctrl-C.

    With --json each line is an event or {"missed": true}. The latter comes first when it begins
    to listen, and again when it may have missed events: Redis does not keep them.
    """
    target = parse_target(participant, identity, stdin=identity_stdin)
    return await until_stopped(_watch(target, limit, json=json))


async def _watch(target: Target, limit: int | None, *, json: bool) -> Exit:
    async with connect_to(environment.settings(), target) as (backend, participant):
        printed, listens = 0, False
        async with aclosing(read_events(backend.side)) as stream:
            async for item in stream:
                if not isinstance(item, Event):
                    _print_missed(json=json, listens=listens)
                    listens = True
                elif participant in (None, item.participant):
                    _print(item, json=json)
                    printed += 1
                    if printed == limit:
                        break
    return Exit.OK


def _print(event: Event, *, json: bool) -> None:
    if json:
        line(event.model_dump(mode="json"))
    else:
        say(event_line(event))


def _print_missed(*, json: bool, listens: bool) -> None:
    if json:
        line({"missed": True})
    elif listens:
        note("some events may have been missed")
    elif sys.stderr.isatty():
        note("listening; press Ctrl-C to stop")
