"""What a participant may ask for: export, erasure, consent, retention."""

import json as json_module
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from session_store.cli import options
from session_store.cli.connect import audit_of, environment, opened_store
from session_store.cli.exits import Ended, Exit, not_found, usage
from session_store.cli.options import (
    Identity,
    IdentityStdin,
    Json,
    Participant,
    Reason,
    SessionId,
    Yes,
)
from session_store.cli.output import document, note, pairs, say, span, when
from session_store.cli.running import run
from session_store.cli.target import Who, confirm, named, owner_of, somebody
from session_store.settings import StoreSettings
from session_store.upkeep import privacy
from session_store.upkeep.journal import ErasureJournal
from session_store.upkeep.privacy import ConsentState

PRIVATE: Final = 0o600


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(
        "export",
        epilog="Example: session-store export --identity-stdin --output maria.json < identity.txt.",
    )(export)
    app.command(
        "erase",
        epilog="Example: session-store erase --participant mzxw6ytboi4dsnrvgq2tembqgu "
        "--reason T-1234.",
    )(erase)
    app.command(
        "erase-session",
        epilog="Example: session-store erase-session 5qkfz7b3cpx2mwy6tr4hjvnd8e --yes.",
    )(erase_session)
    app.command(
        "consent",
        epilog="Examples: session-store consent --identity maria; "
        "session-store consent --identity maria --give 2026-02.",
    )(consent)
    app.command(
        "retention",
        epilog="Examples: session-store retention --identity maria --set 48h; "
        "session-store retention --identity maria --default.",
    )(retention)


def export(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write to this file, which must not exist yet; only you may read it (0600).",
            show_default=False,
        ),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Write to standard output, for all to see.")
    ] = False,
    json: Json = False,
) -> int:
    """Export all that is kept about a participant.

    It is JSON. A session that does not open is listed with the reason, never left out; then the
    exit code is 1. The export is audited before it is made.
    """
    who = somebody(participant, identity, stdin=identity_stdin)
    if (output is None) != reveal:
        raise usage("say --output FILE, or --reveal for standard output")
    if output is not None and output.exists():
        raise usage(f"{output} exists; name a new file")
    return run(_export(who, output, json=json))


async def _export(who: Who, output: Path | None, *, json: bool) -> Exit:
    async with opened_store(environment.settings()) as (_, store):
        data = await privacy.export(store, who.of(store), audit=audit_of(store))
    if data is None:
        raise not_found("nothing is kept about this participant")
    sessions = data["sessions"]
    closed = sum("unreadable" in session for session in sessions)
    if output is None:
        document(data)
    else:
        _write_private(output, data)
        turns = sum(len(session.get("turns", ())) for session in sessions)
        if json:
            counts = {"sessions": len(sessions), "turns": turns, "unreadable": closed}
            document({"file": str(output)} | counts)
        else:
            say(f"{_sessions(len(sessions))} and {turns} turns are in {output}")
    if closed:
        note(f"{_sessions(closed)} cannot be read; the export says why")
    return Exit.PROBLEM if closed else Exit.OK


def _write_private(path: Path, data: dict[str, Any]) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            json_module.dump(data, out, indent=2, ensure_ascii=False)
            out.write("\n")
    except OSError as error:
        raise Ended(Exit.PROBLEM, f"{path} cannot be written: {error.strerror}") from None


def erase(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Erase a participant, and prove that nothing is left.

    It is audited and noted in the erasure journal first, also for somebody unknown (exit code
    4): a backup may still know them.
    """
    who = somebody(participant, identity, stdin=identity_stdin)
    return run(_erase(who, reason, yes=yes, json=json))


async def _erase(who: Who, reason: str, *, yes: bool, json: bool) -> Exit:
    settings = environment.settings()
    async with opened_store(settings) as (backend, store):
        participant = who.of(store)
        page = await backend.sessions(participant, offset=0, limit=1)
        known = bool(page.total) or await backend.participant(participant) is not None
        confirm(f"Erase {participant} with {_sessions(page.total)}, for good?", yes=yes)
        journal = _journal(settings)
        erased = await privacy.erase(
            store, participant, journal=journal, audit=audit_of(store), reason=reason
        )
    if json:
        document(
            {
                "participant": participant,
                "known": known,
                "sessions": erased.sessions,
                "left_over": erased.left_over,
                "journal": None if journal is None else str(journal.path),
            }
        )
    elif known:
        say(f"{participant} is erased, with {_sessions(erased.sessions)}; nothing is left")
    if not known:
        noted = "; the erasure is noted in the journal" if journal else ""
        raise not_found(f"nothing was kept about {participant}{noted}")
    return Exit.OK


def erase_session(  # noqa: PLR0913 (each is an option)
    session: SessionId,
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Erase one session; the others of its participant stay."""
    who = named(participant, identity, stdin=identity_stdin)
    return run(_erase_session(who, options.session_id(session), reason, yes=yes, json=json))


async def _erase_session(who: Who, session_id: str, reason: str, *, yes: bool, json: bool) -> Exit:
    settings = environment.settings()
    async with opened_store(settings) as (backend, store):
        participant = await owner_of(backend, who.of(store) if who else None, session_id)
        confirm(f"Erase session {session_id} of {participant}, for good?", yes=yes)
        journal = _journal(settings)
        existed = await privacy.erase_session(
            store,
            participant,
            session_id,
            journal=journal,
            audit=audit_of(store),
            reason=reason,
        )
    if json:
        document(
            {
                "participant": participant,
                "session_id": session_id,
                "known": existed,
                "journal": None if journal is None else str(journal.path),
            }
        )
    elif existed:
        say(f"session {session_id} of {participant} is erased")
    if not existed:
        raise not_found(f"there was no session {session_id} of {participant}")
    return Exit.OK


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _journal(settings: StoreSettings) -> ErasureJournal | None:
    if settings.erasure_journal is not None:
        return ErasureJournal(settings.erasure_journal)
    note(
        "no REJOIN_ERASURE_JOURNAL is set: a backup of Redis that is restored will bring back "
        "what is erased now"
    )
    return None


def consent(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    give: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="They agreed to this version of the text.", show_default=False
        ),
    ] = None,
    withdraw: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="They do not agree (any more) to it.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Show what a participant agreed to, or note it."""
    who = somebody(participant, identity, stdin=identity_stdin)
    if give is not None and withdraw is not None:
        raise usage("say --give or --withdraw, not both")
    return run(_consent(who, give, withdraw, json=json))


async def _consent(who: Who, give: str | None, withdraw: str | None, *, json: bool) -> Exit:
    version = give if give is not None else withdraw
    async with opened_store(environment.settings()) as (backend, store):
        participant = who.of(store)
        if await backend.participant(participant) is None:
            raise not_found(f"nothing is kept about {participant}")
        if version is None:
            state = await privacy.consent(store, participant)
        else:
            given = give is not None
            await audit_of(store).log("consent", participant=participant, detail=f"given={given}")
            state = await privacy.set_consent(store, participant, given=given, version=version)
    if json:
        document({"participant": participant, "consent": state})
    else:
        say(_agreed(state))
    return Exit.OK


def _agreed(state: ConsentState | None) -> str:
    if state is None:
        return "no consent was noted"
    word = "given" if state.given else "not given, or withdrawn,"
    return f"{word} for version {state.version} at {when(state.at)}"


def retention(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    keep: Annotated[
        str | None,
        typer.Option(
            "--set", metavar="SPAN", help="Keep for this long: 12h, 3d.", show_default=False
        ),
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Keep for as long as everybody's.")
    ] = False,
    json: Json = False,
) -> int:
    """Show or set for how long a participant is kept.

    Each session is erased so long after it was last seen.
    """
    who = somebody(participant, identity, stdin=identity_stdin)
    if keep is not None and default:
        raise usage("say --set or --default, not both")
    return run(_retention(who, keep, default=default, json=json))


async def _retention(who: Who, keep: str | None, *, default: bool, json: bool) -> Exit:
    settings = environment.settings()
    wanted = None if keep is None else options.span(keep)
    async with opened_store(settings) as (backend, store):
        participant = who.of(store)
        if wanted is not None or default:
            detail = "default" if wanted is None else f"{wanted.total_seconds():g} s"
            await audit_of(store).log("retention", participant=participant, detail=detail)
            await privacy.set_retention(store, participant, wanted)
        stored = await backend.participant(participant)
    if stored is None:
        raise not_found(f"nothing is kept about {participant}")
    own_s = None if stored.retention_ms is None else stored.retention_ms / 1000
    seconds = settings.retention_s if own_s is None else own_s
    if json:
        document({"participant": participant, "retention_s": seconds, "own": own_s is not None})
    else:
        pairs(
            [("kept for", f"{span(seconds)} ({'the default' if own_s is None else 'their own'})")]
        )
    return Exit.OK
