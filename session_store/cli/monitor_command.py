"""``monitor``: the state of Redis and of the sessions in it, now."""

import asyncio
from enum import IntEnum
from typing import Annotated, Final

import typer

from session_store.cli.command import command, until_stopped
from session_store.cli.connect import environment, unconnected_backend
from session_store.cli.doctor_command import print_findings
from session_store.cli.output import as_dict, document, line, say, when
from session_store.doctor import Verdict
from session_store.monitor import Report, look
from session_store.monitor.checks import mebibytes

DEFAULT_EVERY_S: Final = 5.0


class Status(IntEnum):
    """Exit codes, like those of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


_STATUS: Final = {
    Verdict.OK: Status.OK,
    Verdict.WARN: Status.WARNING,
    Verdict.FAIL: Status.CRITICAL,
}


@command(
    "monitor",
    epilog="Examples: session-store monitor; session-store monitor --watch --every 2. The exit "
    "codes are those of monitoring plugins: 0 all is well; 1 a warning; 2 critical, which "
    "includes a Redis that does not answer.",
)
async def monitor(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float,
        typer.Option(min=0.5, metavar="SECONDS", help="With --watch: seconds between two looks."),
    ] = DEFAULT_EVERY_S,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON document; with --watch, one line per look."),
    ] = False,
) -> int:
    """Show the state of Redis and of the sessions in it.

    It needs no key, and opens nothing. Use doctor to find a wrong setup.
    """
    if watch:
        return await until_stopped(_watch(every, json=json))
    return await _look(json=json)


async def _look(*, json: bool) -> Status:
    settings = environment.settings()
    async with unconnected_backend(settings) as backend:
        report = await look(backend, settings)
    if json:
        document(_as_json(report))
    else:
        print_findings(report.findings)
    return _STATUS[report.verdict]


async def _watch(every_s: float, *, json: bool) -> Status:
    settings = environment.settings()
    async with unconnected_backend(settings) as backend:
        while True:
            report = await look(backend, settings)
            if json:
                line(_as_json(report))
            else:
                say(_line(report))
            await asyncio.sleep(every_s)


def _as_json(report: Report) -> dict[str, object]:
    return {"verdict": report.verdict, **as_dict(report)}


def _line(report: Report) -> str:
    """Write a report in one line: the figures, then what is wrong."""
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
