"""Maintenance of the store: rotate keys, sweep, replay a spool, replay erasures."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from session_store.cli.command import command, until_stopped
from session_store.cli.connect import audit_of, connected_store, environment
from session_store.cli.exit_codes import Exit, usage_error
from session_store.cli.options import Json
from session_store.cli.output import document, event_line, line, note, say
from session_store.distribution import DISTRIBUTION
from session_store.events import Event
from session_store.upkeep import journal as journals
from session_store.upkeep.audit import AuditAction
from session_store.upkeep.journal import ErasureJournal
from session_store.upkeep.rotation import RotationProgress, RotationReport
from session_store.upkeep.rotation import rotate_keys as rotate
from session_store.upkeep.sweeper import Sweeper
from session_store.writing.spool import Spool


@command("rotate-keys", epilog="Example: session-store rotate-keys.")
async def rotate_keys(*, json: Json = False) -> Exit:
    """Wrap all data keys with the primary key.

    First give every process the new key beside the old one. Then make it primary everywhere, and
    run this command: it says which keys you may remove. You may stop it, repeat it, and run it
    while people talk.
    """
    async with connected_store(environment.settings()) as (backend, store):
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
        f"{progress.rewrapped} wrapped again"
    )


def _print_rotation(report: RotationReport) -> None:
    if not report.keys:
        say(f"{report.primary} is the only key: nothing to do")
    for key in report.keys:
        outcome = "may be removed now" if key.removable else "is still needed"
        say(f"{key.key_id}: {key.rewrapped} wrapped again with {report.primary}; {outcome}")
    for participant in report.broken:
        note(f"the key of participant {participant} does not open; it is unchanged")
    for key_id, participants in report.unknown.items():
        note(f"{len(participants)} participants need key {key_id}, which is missing; put it back")


@command("sweep", epilog="Examples: session-store sweep; from a timer: session-store sweep --once.")
async def sweep(
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and stop.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line; with --once, one.")
    ] = False,
) -> int:
    """End and erase sessions when their time comes.

    A session ends when its resume window has passed. It is erased after its retention. The
    agents' workers do this too, and any number of sweepers share the work. It prints what it
    does, until Ctrl-C.
    """
    if once:
        return await _sweep_once(json=json)
    return await until_stopped(_sweep(json=json))


async def _sweep_once(*, json: bool) -> Exit:
    async with connected_store(environment.settings()) as (_, store):
        report = await Sweeper(store).sweep()
    if json:
        document(asdict(report))
    else:
        say(f"{report.ended} ended, {report.erased} erased, {report.orphaned} lack an agent")
    if report.failed:
        note(f"{report.failed} sessions cannot be swept")
    return Exit.PROBLEM if report.failed else Exit.OK


class _Printer:
    """Prints the events of this process."""

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def on_event(self, event: Event) -> None:
        """Print one event."""
        if self._json:
            line(event.model_dump(mode="json"))
        else:
            say(event_line(event))


async def _sweep(*, json: bool) -> Exit:
    async with connected_store(environment.settings()) as (_, store):
        store.add_hook(_Printer(json=json))
        sweeper = Sweeper(store)
        sweeper.start()
        try:
            await asyncio.Event().wait()
        finally:
            await sweeper.aclose()
    return Exit.OK


@command("replay-spool", epilog="Example: session-store replay-spool /var/lib/rejoin/spool.")
async def replay_spool(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Default: REJOIN_SPOOL_DIR.", show_default=False),
    ] = None,
    *,
    json: Json = False,
) -> Exit:
    """Save turns that jobs left on disk.

    A job does that if it must end while Redis is unreachable. The agents' worker replays its own
    spool; use this command for the folder of a machine that no longer runs a worker.
    """
    settings = environment.settings()
    folder = folder or settings.spool_dir
    if folder is None:
        raise usage_error("name the folder, or set REJOIN_SPOOL_DIR")
    if not folder.is_dir():
        raise usage_error(f"there is no folder {folder}")
    async with connected_store(settings) as (_, store):
        report = await Spool(folder).replay(store)
    if json:
        document(asdict(report))
    else:
        say(
            f"{report.appended} turns appended, {report.late} added late, "
            f"{report.erased} dropped because their session is gone"
        )
    waiting = report.kept + report.newer
    if waiting:
        needed = f"a key is missing, or they need a newer version of {DISTRIBUTION}"
        note(f"{waiting} files remain: {needed}")
    if report.damaged:
        note(f"{report.damaged} damaged files were set aside in {folder}")
    return Exit.PROBLEM if waiting or report.damaged else Exit.OK


@command(
    "replay-erasures",
    epilog="Example: session-store replay-erasures /var/lib/rejoin/erasures.jsonl.",
)
async def replay_erasures(
    file: Annotated[Path, typer.Argument(help="The erasure journal.", show_default=False)],
    *,
    json: Json = False,
) -> Exit:
    """Erase again, after you restored a backup.

    It erases what the erasure journal names and the backup has brought back. Run it before you
    admit participants. Participants who came back after their erasure are left alone.
    You may repeat it.
    """
    async with connected_store(environment.settings()) as (_, store):
        report = await journals.replay(store, ErasureJournal(file), audit=audit_of(store))
    if json:
        document(asdict(report))
    else:
        say(
            f"{report.entries} erasures in the journal: {report.participants} participants and "
            f"{report.sessions} sessions erased again, {report.absent} were still erased"
        )
    if report.came_back and not json:
        note(f"{len(report.came_back)} participants came back later and were left alone")
    if report.skipped:
        lines = ", ".join(map(str, report.skipped))
        note(f"skipped lines that are damaged or forged: {lines}")
    for participant in report.left_over:
        note(f"some data of participant {participant} is left; run this again")
    return Exit.PROBLEM if report.skipped or report.left_over else Exit.OK
