"""What a participant may ask of an operator: export, erasure, consent, retention."""

import json as json_module
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from session_store.cli import options
from session_store.cli.command import command
from session_store.cli.connect import audit_of, connected_store, environment
from session_store.cli.exit_codes import CommandFailed, Exit, not_found_error, usage_error
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
from session_store.cli.target import (
    confirm,
    parse_target,
    participant_of_session,
    require_target,
)
from session_store.settings import StoreSettings
from session_store.upkeep import privacy
from session_store.upkeep.journal import ErasureJournal
from session_store.upkeep.privacy import ConsentState

PRIVATE: Final = 0o600


@command(
    "export",
    epilog="Example: session-store export --identity-stdin --output maria.json < identity.txt.",
)
async def export(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write to this new file, which only you may read (0600).",
            show_default=False,
        ),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Write to standard output, readable by all.")
    ] = False,
    json: Json = False,
) -> Exit:
    """Export all that is stored about a participant.

    The export is JSON. A session that does not open is listed with the reason, never left out;
    the exit code is then 1. The export is audited before it is made.
    """
    target = require_target(participant, identity, stdin=identity_stdin)
    if (output is None) != reveal:
        raise usage_error("say --output FILE, or --reveal for standard output")
    if output is not None and output.exists():
        raise usage_error(f"{output} exists; name a new file")
    async with connected_store(environment.settings()) as (_, store):
        data = await privacy.export(store, target.pseudonym_in(store), audit=audit_of(store))
    if data is None:
        raise not_found_error("nothing is stored about this participant")
    sessions = data["sessions"]
    closed = sum("unreadable" in session for session in sessions)
    unloaded = sum(bool(session.get("works_before")) for session in sessions)
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
    if unloaded:
        kept = "the export has it under works_before"
        note(f"{_sessions(unloaded)} had a state that the program could not load; {kept}")
    return Exit.PROBLEM if closed else Exit.OK


def _write_private(path: Path, data: dict[str, Any]) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            json_module.dump(data, out, indent=2, ensure_ascii=False)
            out.write("\n")
    except OSError as error:
        raise CommandFailed(Exit.PROBLEM, f"{path} cannot be written: {error.strerror}") from None


@command(
    "erase",
    epilog="Example: session-store erase --participant mzxw6ytboi4dsnrvgq2tembqgu --reason T-1234.",
)
async def erase(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> Exit:
    """Erase a participant, and prove that nothing is left.

    The erasure goes to the audit stream and the erasure journal first. That is also done for an
    unknown participant (exit code 4), because a backup may still contain them.
    """
    target = require_target(participant, identity, stdin=identity_stdin)
    settings = environment.settings()
    async with connected_store(settings) as (backend, store):
        pseudonym = target.pseudonym_in(store)
        page = await backend.sessions(pseudonym, offset=0, limit=1)
        known = bool(page.total) or await backend.participant(pseudonym) is not None
        confirm(f"Erase {pseudonym} with {_sessions(page.total)}, for good?", yes=yes)
        journal = _journal(settings)
        erased = await privacy.erase(
            store, pseudonym, journal=journal, audit=audit_of(store), reason=reason
        )
    if json:
        document(
            {
                "participant": pseudonym,
                "known": known,
                "sessions": erased.sessions,
                "left_over": erased.left_over,
                "journal": None if journal is None else str(journal.path),
            }
        )
    elif known:
        say(f"{pseudonym} is erased, with {_sessions(erased.sessions)}; nothing is left")
    if not known:
        noted = "; the erasure is noted in the journal" if journal else ""
        raise not_found_error(f"nothing was stored about {pseudonym}{noted}")
    return Exit.OK


@command(
    "erase-session",
    epilog="Example: session-store erase-session 5qkfz7b3cpx2mwy6tr4hjvnd8e --yes.",
)
async def erase_session(  # noqa: PLR0913 (each is an option)
    session: SessionId,
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    reason: Reason = "",
    yes: Yes = False,
    json: Json = False,
) -> Exit:
    """Erase one session. The other sessions of its participant stay."""
    target = parse_target(participant, identity, stdin=identity_stdin)
    session_id = options.session_id(session)
    settings = environment.settings()
    async with connected_store(settings) as (backend, store):
        known = target.pseudonym_in(store) if target else None
        pseudonym = await participant_of_session(backend, known, session_id)
        confirm(f"Erase session {session_id} of {pseudonym}, for good?", yes=yes)
        journal = _journal(settings)
        existed = await privacy.erase_session(
            store,
            pseudonym,
            session_id,
            journal=journal,
            audit=audit_of(store),
            reason=reason,
        )
    if json:
        document(
            {
                "participant": pseudonym,
                "session_id": session_id,
                "known": existed,
                "journal": None if journal is None else str(journal.path),
            }
        )
    elif existed:
        say(f"session {session_id} of {pseudonym} is erased")
    if not existed:
        raise not_found_error(f"there was no session {session_id} of {pseudonym}")
    return Exit.OK


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _journal(settings: StoreSettings) -> ErasureJournal | None:
    if settings.erasure_journal is not None:
        return ErasureJournal(settings.erasure_journal)
    note(
        "REJOIN_ERASURE_JOURNAL is not set: a restored backup of Redis will bring back what is "
        "erased now"
    )
    return None


@command(
    "consent",
    epilog="Examples: session-store consent --identity maria; "
    "session-store consent --identity maria --give 2026-02.",
)
async def consent(  # noqa: PLR0913 (each is an option)
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    give: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Record consent to this version of the text.",
            show_default=False,
        ),
    ] = None,
    withdraw: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Record that consent is refused or withdrawn.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> Exit:
    """Show or record a participant's consent."""
    target = require_target(participant, identity, stdin=identity_stdin)
    if give is not None and withdraw is not None:
        raise usage_error("say --give or --withdraw, not both")
    version = give if give is not None else withdraw
    async with connected_store(environment.settings()) as (backend, store):
        pseudonym = target.pseudonym_in(store)
        if await backend.participant(pseudonym) is None:
            raise not_found_error(f"nothing is stored about {pseudonym}")
        if version is None:
            state = await privacy.consent(store, pseudonym)
        else:
            given = give is not None
            await audit_of(store).log("consent", participant=pseudonym, detail=f"given={given}")
            state = await privacy.set_consent(store, pseudonym, given=given, version=version)
    if json:
        document({"participant": pseudonym, "consent": state})
    else:
        say(_agreed(state))
    return Exit.OK


def _agreed(state: ConsentState | None) -> str:
    if state is None:
        return "no consent is recorded"
    word = "given" if state.given else "refused or withdrawn"
    return f"{word} for version {state.version} at {when(state.at)}"


@command(
    "retention",
    epilog="Examples: session-store retention --identity maria --set 48h; "
    "session-store retention --identity maria --default.",
)
async def retention(  # noqa: PLR0913 (each is an option)
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
        bool, typer.Option("--default", help="Go back to the default retention.")
    ] = False,
    json: Json = False,
) -> Exit:
    """Show or set how long a participant's sessions are kept.

    Each session is erased that long after it was last seen.
    """
    target = require_target(participant, identity, stdin=identity_stdin)
    if keep is not None and default:
        raise usage_error("say --set or --default, not both")
    settings = environment.settings()
    wanted = None if keep is None else options.span(keep)
    async with connected_store(settings) as (backend, store):
        pseudonym = target.pseudonym_in(store)
        if wanted is not None or default:
            detail = "default" if wanted is None else f"{wanted.total_seconds():g} s"
            await audit_of(store).log("retention", participant=pseudonym, detail=detail)
            await privacy.set_retention(store, pseudonym, wanted)
        stored = await backend.participant(pseudonym)
    if stored is None:
        raise not_found_error(f"nothing is stored about {pseudonym}")
    own_s = None if stored.retention_ms is None else stored.retention_ms / 1000
    seconds = settings.retention_s if own_s is None else own_s
    if json:
        document({"participant": pseudonym, "retention_s": seconds, "own": own_s is not None})
    else:
        pairs(
            [("kept for", f"{span(seconds)} ({'the default' if own_s is None else 'their own'})")]
        )
    return Exit.OK
