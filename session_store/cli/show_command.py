"""``show``: one session, and with ``--reveal`` its content."""

import json as json_module
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from session_store.backends.values import StoredSession
from session_store.cli import options
from session_store.cli.command import command
from session_store.cli.connect import audit_of, connected_store, environment
from session_store.cli.exit_codes import Exit, not_found_error
from session_store.cli.options import (
    Identity,
    IdentityStdin,
    Json,
    Participant,
    Reveal,
    SessionId,
)
from session_store.cli.output import as_dict, document, pairs, say, span, when
from session_store.cli.target import connect_to, parse_target, participant_of_session
from session_store.sealing.opening import time_of
from session_store.settings import StoreSettings
from session_store.upkeep.analytics import SessionCounts
from session_store.upkeep.audit import AuditAction
from session_store.upkeep.privacy import work_as_json
from session_store.values import Loaded


@command(
    "show",
    epilog="Example: session-store show 5qkfz7b3cpx2mwy6tr4hjvnd8e --reveal --turns 5.",
)
async def show(  # noqa: PLR0913 (each is an option)
    session: SessionId,
    *,
    participant: Participant = None,
    identity: Identity = None,
    identity_stdin: IdentityStdin = False,
    reveal: Reveal = False,
    turns: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --reveal, the last N turns.")
    ] = 20,
    json: Json = False,
) -> Exit:
    """Show one session, and with --reveal its content.

    Without a participant, it searches all shards for the session. That takes a moment if there
    are many sessions.
    """
    target = parse_target(participant, identity, stdin=identity_stdin)
    session_id = options.session_id(session)
    settings = environment.settings()
    async with connect_to(settings, target) as (backend, known):
        pseudonym = await participant_of_session(backend, known, session_id)
        stored = await backend.load(pseudonym, session_id, last=None)
    if stored is None:
        raise not_found_error(f"there is no session {session_id}")
    facts = {"participant": pseudonym} | _facts(stored)
    revealed = await _reveal(settings, pseudonym, session_id, turns) if reveal else None
    if json:
        document({"session": facts, "revealed": revealed})
        return Exit.OK
    pairs((_title(name), _shown(value)) for name, value in facts.items())
    if revealed is not None:
        _print(revealed)
    return Exit.OK


async def _reveal(
    settings: StoreSettings, participant: str, session_id: str, turns: int
) -> dict[str, Any]:
    async with connected_store(settings) as (_, store):
        audit = audit_of(store)
        await audit.log(AuditAction.REVEAL, participant=participant, session_id=session_id)
        loaded = await store.load(participant, session_id, last=turns)
    if loaded is None:
        raise not_found_error(f"session {session_id} was erased a moment ago")
    return _content(loaded)


def _facts(stored: StoredSession) -> dict[str, Any]:
    """Return what a session shows without its participant's key."""
    return as_dict(SessionCounts.of(stored)) | {
        "resume_until": time_of(stored.window_until) if stored.state == "away" else None,
        "turns_kept": len(stored.turns),
        "turns_late": len(stored.late),
        "being_said": len(stored.drafts),
        "works_before": len(stored.works_before),
        "sealed_bytes": sum(map(len, _sealed_in(stored))),
        "content_version": stored.version,
        "has_agent": bool(stored.owner) and stored.lease_until > stored.now,
        "fencing_token": int(stored.fence),
        "key_id": stored.wrapped.kek_id,
    }


def _sealed_in(stored: StoredSession) -> list[bytes]:
    late, drafts, before = (
        [each.sealed for each in some] for some in (stored.late, stored.drafts, stored.works_before)
    )
    work = b"" if stored.work is None else stored.work.sealed
    return [*stored.turns, stored.content or b"", *late, *drafts, work, *before]


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return span(value)
    return "-" if value is None else str(value)


def _title(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)


def _content(loaded: Loaded) -> dict[str, Any]:
    turns = [
        {"seq": each.seq, "late": each.late} | each.turn.model_dump(mode="json")
        for each in loaded.turns
    ]
    content = loaded.session.content.model_dump(mode="json", exclude={"witness"})
    drafts = [draft.turn.model_dump(mode="json") for draft in loaded.drafts]
    return {
        "content": content,
        "turns": turns,
        "being_said": drafts,
        "work": loaded.work and work_as_json(loaded.work),
        "works_before": [work_as_json(work) for work in loaded.works_before],
    }


def _print(revealed: dict[str, Any]) -> None:
    say("")
    pairs((name, _said(value)) for name, value in revealed["content"].items() if value)
    say("")
    for turn in revealed["turns"]:
        marks = [name for name in ("interrupted", "late") if turn[name]]
        _print_turn(str(turn["seq"]), turn, marks)
    for turn in revealed["being_said"]:
        _print_turn("", turn, ["being said"])
    for work in revealed["works_before"]:
        say(f"could not be loaded: {_said(work)}")
    if revealed["work"] is not None:
        say(f"state: {_said(revealed['work'])}")


def _print_turn(place: str, turn: dict[str, Any], marks: list[str]) -> None:
    at = _time_of(turn["created_at"])
    speaker = " ".join([turn["role"] or turn["kind"], *(f"({mark})" for mark in marks)])
    said = turn["text"] or _said(turn["details"])
    say(f"{place:>4}  {at:%H:%M:%S}Z  {speaker}: {said}")


def _time_of(created_at: float) -> datetime:
    """Convert Unix seconds; a time outside the calendar becomes 1970-01-01."""
    try:
        return datetime.fromtimestamp(created_at, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
