"""``stats``: the counts of each day."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from session_store.cli import options
from session_store.cli.command import command
from session_store.cli.connect import connected_backend, environment
from session_store.cli.exit_codes import Exit, usage_error
from session_store.cli.options import Json
from session_store.cli.output import Column, as_dict, document, pairs, say, span, table
from session_store.upkeep.analytics import Analytics, DayCounts, last_days

MAX_DAYS: Final = 400
"""Redis keeps the counts for so many days."""


@command("stats", epilog="Examples: session-store stats; session-store stats --days 30 --json.")
async def stats(
    *,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="2026-02-28, or today (UTC).", show_default=False),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_DAYS,
            metavar="N",
            help="The last N days, today included.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> Exit:
    """Show the counts of a day, or of several days.

    Without options, it shows today. The number of people is an estimate (error 0.8 %); a person
    who came on several days counts once. All counts are best effort: a killed process loses the
    counts of its last second.
    """
    if day is not None and days is not None:
        raise usage_error("say --day or --days, not both")
    wanted = last_days(days or 1) if day is None else [options.day(day)]
    async with connected_backend(environment.settings()) as backend:
        analytics = Analytics(backend.side)
        counts = await asyncio.gather(*map(analytics.day, wanted))
        people = await analytics.active(wanted)
    if json:
        said = [as_dict(each) | {"connects": each.connects} for each in counts]
        document({"people": people, "days": said})
    elif len(counts) == 1:
        _print_day(counts[0])
    else:
        _print_days(counts)
        say("")
        say(f"{people} people in these {len(counts)} days")
    return Exit.OK


def _print_day(counts: DayCounts) -> None:
    rows = [("day", f"{counts.day} (UTC)"), ("people", str(counts.people))]
    rows.append(("connects", f"{counts.connects} ({counts.rejoins} of them rejoins)"))
    rows.append(("turns", str(counts.turns)))
    rows.append(("visits ended", f"{counts.visits}, {span(counts.visit_ms / 1000)} in all"))
    rows.append(("takeovers", str(counts.takeovers)))
    rows.append(("handoffs", str(counts.handoffs)))
    rows.append(("leases lost", str(counts.leases_lost)))
    rows.append(("sessions ended", str(counts.sessions_ended)))
    rows.append(("sessions erased", str(counts.sessions_erased)))
    rows.append(("people erased", str(counts.erasures)))
    pairs(rows)


def _print_days(counts: Sequence[DayCounts]) -> None:
    titles = ("people", "connects", "rejoins", "turns", "talk", "takeovers", "ended", "erased")
    rows = [
        [
            each.day.isoformat(),
            *map(str, (each.people, each.connects, each.rejoins, each.turns)),
            span(each.visit_ms / 1000),
            *map(str, (each.takeovers, each.sessions_ended, each.erasures)),
        ]
        for each in counts
    ]
    table([Column("day"), *(Column(title, right=True) for title in titles)], rows)
