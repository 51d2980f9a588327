"""Keeping the store in order: keys, deadlines, spools, and erasures after a restored backup."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from session_store.cli.connect import audit_of, environment, opened_store
from session_store.cli.exits import Exit, usage
from session_store.cli.options import Json
from session_store.cli.output import document, event_line, line, note, say
from session_store.cli.running import run, run_until_stopped
from session_store.events import Event
from session_store.upkeep import journal as journals
from session_store.upkeep.audit import AuditAction
from session_store.upkeep.journal import ErasureJournal
from session_store.upkeep.rotation import RotationProgress, RotationReport
from session_store.upkeep.rotation import rotate_keys as rotate
from session_store.upkeep.sweeper import Sweeper
from session_store.writing.spool import Spool


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("rotate-keys", epilog="Example: session-store rotate-keys.")(rotate_keys)
    app.command(
        "sweep",
        epilog="Examples: session-store sweep; from a timer: session-store sweep --once.",
    )(sweep)
    app.command(
        "replay-spool", epilog="Example: session-store replay-spool /var/lib/rejoin/spool."
    )(replay_spool)
    app.command(
        "replay-erasures",
        epilog="Example: session-store replay-erasures /var/lib/rejoin/erasures.jsonl.",
    )(replay_erasures)


def rotate_keys(*, json: Json = False) -> int:
    """Wrap all data keys by the primary key.

    First give the new key to every process beside the old one, then make it primary everywhere,
    then run this, and it says which keys may be removed. It may be stopped, repeated, and run
    while people talk.
    """
    return run(_rotate_keys(json=json))


async def _rotate_keys(*, json: bool) -> Exit:
    async with opened_store(environment.settings()) as (backend, store):
        await audit_of(store).log(AuditAction.ROTATE, detail=f"to {store.keyring.primary}")
        progress = _show_progress if sys.stderr.isatty() else None
        report = await rotate(backend, store.keyring, progress=progress)
    if json:
        document(
            {
                "primary": report.primary,
                "rewrapped": report.rewrapped,
                "stale": report.stale,
                "removable": report.removable,
                "broken": report.broken,
                "unknown": {key_id: list(who) for key_id, who in report.unknown.items()},
                "keys": [asdict(key) for key in report.keys],
            }
        )
    else:
        _print_rotation(report)
    return Exit.PROBLEM if report.broken or report.unknown else Exit.OK


def _show_progress(progress: RotationProgress) -> None:
    note(
        f"{progress.key_id}: pass {progress.number}, {progress.shards_done} of 1024 shards, "
        f"{progress.rewrapped} wrapped anew"
    )


def _print_rotation(report: RotationReport) -> None:
    if not report.keys:
        say(f"{report.primary} is the only key: nothing to do")
    for key in report.keys:
        outcome = "may be removed now" if key.removable else "is still needed"
        say(f"{key.key_id}: {key.rewrapped} wrapped anew by {report.primary}; {outcome}")
    for participant in report.broken:
        note(f"the key of participant {participant} does not open; it was left as it is")
    for key_id, participants in report.unknown.items():
        note(f"{len(participants)} participants need key {key_id}, which is gone; put it back")


def sweep(
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line; with --once, one.")
    ] = False,
) -> int:
    """End sessions, and erase them, when it is time.

    A session ends when its resume window has passed, and is erased after its retention.
    Agents' workers do this, too; any number of sweepers share the work. It prints what it
    does, until Ctrl-C.
    """
    if once:
        return run(_sweep_once(json=json))
    return run_until_stopped(_sweep(json=json))


async def _sweep_once(*, json: bool) -> Exit:
    async with opened_store(environment.settings()) as (_, store):
        report = await Sweeper(store).sweep()
    if json:
        document(asdict(report))
    else:
        say(f"{report.ended} ended, {report.erased} erased, {report.orphaned} lack an agent")
    if report.failed:
        note(f"{report.failed} sessions cannot be swept")
    return Exit.PROBLEM if report.failed else Exit.OK


class _Printer:
    """Prints what this process does."""

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def on_event(self, event: Event) -> None:
        """See ``EventHook``."""
        if self._json:
            line(event.model_dump(mode="json"))
        else:
            say(event_line(event))


async def _sweep(*, json: bool) -> Exit:
    async with opened_store(environment.settings()) as (_, store):
        store.add_hook(_Printer(json=json))
        sweeper = Sweeper(store)
        sweeper.start()
        try:
            await asyncio.Event().wait()
        finally:
            await sweeper.aclose()
    return Exit.OK


def replay_spool(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Default: REJOIN_SPOOL_DIR.", show_default=False),
    ] = None,
    *,
    json: Json = False,
) -> int:
    """Save what jobs left on disk.

    They do that when they must end while Redis is away. The agents' worker does this by itself;
    here it is for a folder of a machine that is gone.
    """
    return run(_replay_spool(folder, json=json))


async def _replay_spool(folder: Path | None, *, json: bool) -> Exit:
    settings = environment.settings()
    folder = folder or settings.spool_dir
    if folder is None:
        raise usage("name the folder, or set REJOIN_SPOOL_DIR")
    if not folder.is_dir():
        raise usage(f"there is no folder {folder}")
    async with opened_store(settings) as (_, store):
        report = await Spool(folder).replay(store)
    if json:
        document(asdict(report))
    else:
        say(
            f"{report.appended} turns appended, {report.late} came late, "
            f"{report.erased} dropped because their session is gone"
        )
    waiting = report.kept + report.newer
    if waiting:
        note(f"{waiting} files wait: a key is missing, or they need a newer rejoin")
    if report.damaged:
        note(f"{report.damaged} damaged files are set aside in {folder}")
    return Exit.PROBLEM if waiting or report.damaged else Exit.OK


def replay_erasures(
    file: Annotated[Path, typer.Argument(help="The erasure journal.", show_default=False)],
    *,
    json: Json = False,
) -> int:
    """Erase again, after a backup was restored.

    What is in the erasure journal is erased, if the backup has brought it back. Run it before
    anybody is let in. Whoever came back after their erasure is left alone. It may be repeated.
    """
    return run(_replay_erasures(file, json=json))


async def _replay_erasures(file: Path, *, json: bool) -> Exit:
    async with opened_store(environment.settings()) as (_, store):
        report = await journals.replay(store, ErasureJournal(file), audit=audit_of(store))
    if json:
        document(asdict(report))
    else:
        say(
            f"{report.entries} erasures in the journal: {report.participants} participants and "
            f"{report.sessions} sessions erased again, {report.absent} had held"
        )
    if report.came_back and not json:
        note(f"{len(report.came_back)} participants came back since, and were left alone")
    if report.skipped:
        lines = ", ".join(map(str, report.skipped))
        note(f"lines that are damaged or forged were left out: {lines}")
    for participant in report.left_over:
        note(f"something of participant {participant} is left; run this again")
    return Exit.PROBLEM if report.skipped or report.left_over else Exit.OK
