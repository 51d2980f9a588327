"""``monitor``."""

import asyncio
from enum import IntEnum
from typing import Annotated, Final

import typer

from session_store.cli.checking import print_findings
from session_store.cli.connect import environment, unreached_backend
from session_store.cli.output import as_dict, document, line, say, when
from session_store.cli.running import run, run_until_stopped
from session_store.doctor import Verdict
from session_store.monitor import Report, look
from session_store.monitor.checks import mebibytes

DEFAULT_EVERY_S: Final = 5.0


class Status(IntEnum):
    """Exit codes, as monitoring plugins have them."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


_STATUS: Final = {
    Verdict.OK: Status.OK,
    Verdict.WARN: Status.WARNING,
    Verdict.FAIL: Status.CRITICAL,
}


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command(
        "monitor",
        epilog="Examples: session-store monitor; session-store monitor --watch --every 2. Exits "
        "with 0 where all is well, 1 with a warning, 2 where something is critical, a Redis that "
        "does not answer too: as monitoring plugins do.",
    )(monitor)


def monitor(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option(min=0.5, metavar="SECONDS", help="With --watch: how often.")
    ] = DEFAULT_EVERY_S,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON document; with --watch, one line per look."),
    ] = False,
) -> int:
    """Tell how Redis and the sessions in it are doing now.

    It needs no key, and opens nothing. What is set up wrongly, doctor finds.
    """
    if watch:
        return run_until_stopped(_watch(every, json=json))
    return run(_look(json=json))


async def _look(*, json: bool) -> Status:
    settings = environment.settings()
    async with unreached_backend(settings) as backend:
        report = await look(backend, settings)
    if json:
        document(_said(report))
    else:
        print_findings(report.findings)
    return _STATUS[report.verdict]


async def _watch(every_s: float, *, json: bool) -> Status:
    settings = environment.settings()
    async with unreached_backend(settings) as backend:
        while True:
            report = await look(backend, settings)
            if json:
                line(_said(report))
            else:
                say(_line(report))
            await asyncio.sleep(every_s)


def _said(report: Report) -> dict[str, object]:
    return {"verdict": report.verdict, **as_dict(report)}


def _line(report: Report) -> str:
    """Write a look in one line: the figures, then what is wrong."""
    words = [when(report.at), f"{report.verdict.value:<4}"]
    if report.servers:
        slowest = max(each.ping_p99_ms for each in report.servers)
        words.append(f"{mebibytes(sum(each.memory_bytes for each in report.servers))}")
        words.append(f"p99 {slowest:.2f} ms")
    if report.sessions is not None:
        now = report.sessions
        words.append(f"{now.sessions} sessions, {now.live} live, {now.overdue.stale} stale")
        words.append(f"{now.sweepers} sweepers, {now.overdue.oldest_s:.1f} s behind")
    wrong = [each.check for each in report.findings if each.verdict is not Verdict.OK]
    return "  ".join([*words, *([f"wrong: {', '.join(wrong)}"] if wrong else [])])
