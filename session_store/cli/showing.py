"""``show``: one session."""

import json as json_module
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from session_store.backends.values import StoredSession
from session_store.cli import options
from session_store.cli.connect import audit_of, environment, opened_store
from session_store.cli.exits import Exit, not_found
from session_store.cli.options import (
    Identity,
    IdentityStdin,
    Json,
    Participant,
    Reveal,
    SessionId,
)
from session_store.cli.output import as_dict, document, pairs, say, span, when
from session_store.cli.running import run
from session_store.cli.target import Who, looking_at, named, owner_of
from session_store.sealing.opening import time_of
from session_store.store import Loaded
from session_store.upkeep.analytics import SessionCounts
from session_store.upkeep.audit import AuditAction


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command(
        "show",
        epilog="Example: session-store show 5qkfz7b3cpx2mwy6tr4hjvnd8e --reveal --turns 5.",
    )(show)


def show(  # noqa: PLR0913 (each is an option)
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
) -> int:
    """Show one session, and with --reveal its content.

    Without a participant, all shards are searched for the session, which takes a moment where
    there are many.
    """
    who = named(participant, identity, stdin=identity_stdin)
    return run(_show(who, options.session_id(session), turns if reveal else None, json=json))


async def _show(who: Who, session_id: str, turns: int | None, *, json: bool) -> Exit:
    settings = environment.settings()
    async with looking_at(settings, who) as (backend, known):
        participant = await owner_of(backend, known, session_id)
        stored = await backend.load(participant, session_id, last=None)
    if stored is None:
        raise not_found(f"there is no session {session_id}")
    facts = {"participant": participant} | _facts(stored)
    revealed = None
    if turns is not None:
        async with opened_store(settings) as (_, store):
            audit = audit_of(store)
            await audit.log(AuditAction.REVEAL, participant=participant, session_id=session_id)
            loaded = await store.load(participant, session_id, last=turns)
        if loaded is None:
            raise not_found(f"session {session_id} was erased in this moment")
        revealed = _content(loaded)
    if json:
        document({"session": facts, "revealed": revealed})
        return Exit.OK
    pairs((_title(name), _shown(value)) for name, value in facts.items())
    if revealed is not None:
        _print(revealed)
    return Exit.OK


def _facts(stored: StoredSession) -> dict[str, Any]:
    """Return all that can be told of a session without its participant's key."""
    return as_dict(SessionCounts.of(stored)) | {
        "resume_until": time_of(stored.window_until) if stored.state == "away" else None,
        "turns_kept": len(stored.turns),
        "turns_late": len(stored.late),
        "being_said": len(stored.drafts),
        "sealed_bytes": sum(map(len, _sealed_in(stored))),
        "content_version": stored.version,
        "has_agent": bool(stored.owner) and stored.lease_until > stored.now,
        "fencing_token": int(stored.fence),
        "key_id": stored.wrapped.kek_id,
    }


def _sealed_in(stored: StoredSession) -> list[bytes]:
    late, drafts = ([each.sealed for each in some] for some in (stored.late, stored.drafts))
    return [*stored.turns, stored.content or b"", *late, *drafts]


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
    return {"content": content, "turns": turns, "being_said": drafts}


def _print(revealed: dict[str, Any]) -> None:
    say("")
    pairs((name, _said(value)) for name, value in revealed["content"].items() if value)
    say("")
    for turn in revealed["turns"]:
        marks = [name for name in ("interrupted", "late") if turn[name]]
        _print_turn(str(turn["seq"]), turn, marks)
    for turn in revealed["being_said"]:
        _print_turn("", turn, ["being said"])


def _print_turn(place: str, turn: dict[str, Any], marks: list[str]) -> None:
    at = _time_of(turn["created_at"])
    speaker = " ".join([turn["role"] or turn["kind"], *(f"({mark})" for mark in marks)])
    said = turn["text"] or _said(turn["details"])
    say(f"{place:>4}  {at:%H:%M:%S}Z  {speaker}: {said}")


def _time_of(created_at: float) -> datetime:
    """Convert Unix seconds; a time that no calendar has becomes its first."""
    try:
        return datetime.fromtimestamp(created_at, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
