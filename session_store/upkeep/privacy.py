"""A participant's rights: export, erasure, consent, and a retention of its own.

Each function takes a pseudonym (``store.pseudonym(identity)``); some take the audit log and the
erasure journal. ``reason`` goes into the audit log in clear: write a word, and name no person.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from session_store.errors import (
    InvalidValue,
    SealBroken,
    SessionStoreError,
    UnknownKey,
    UnknownSchema,
)
from session_store.keys import MAX_RETENTION
from session_store.sealing.opening import time_of
from session_store.upkeep.audit import AuditAction, AuditLog
from session_store.upkeep.journal import created_at

if TYPE_CHECKING:
    from session_store.backends.values import Consent, Erased
    from session_store.models import Session, Work
    from session_store.store import SessionStore
    from session_store.upkeep.journal import ErasureJournal

EXPORT_FORMAT: Final = "rejoin-export"
EXPORT_VERSION: Final = 1
MAX_CONSENT_VERSION_CHARS: Final = 64
MIN_RETENTION: Final = timedelta(seconds=1)
_PAGE: Final = 100


class NotErased(SessionStoreError):
    """A part of a participant's data is left after an erasure; erase again."""

    def __init__(self, participant: str, left_over: int) -> None:
        super().__init__(f"{left_over} keys of participant {participant} are left; erase again")
        self.participant = participant
        self.left_over = left_over


@dataclass(frozen=True, slots=True)
class ConsentState:
    """What a participant has agreed to."""

    given: bool
    version: str
    """Version of the text that was shown."""
    at: datetime
    """Time of the decision, UTC."""


async def export(
    store: SessionStore, participant: str, *, audit: AuditLog | None = None
) -> dict[str, Any] | None:
    """Read everything that is kept about a participant; ``None`` if there is nothing.

    The answer is JSON data::

        format, version     "rejoin-export", 1
        exported_at         UTC, ISO 8601, as all times
        participant         pseudonym, created, consent, retention_s, data_key_id, wrapped_by
        sessions            newest first: all fields of ``Session``, "turns", "being_said" (words
                            that are not a turn yet, at most one draft of each role), "work" (what
                            the program works on, as ``work_as_json`` makes it, or null) and
                            "works_before" (what no program could load, oldest first); a session
                            that cannot be opened has "unreadable" (the reason) instead of these
                            and of content
        audit               entries about this participant: at, action, session, detail

    Leases, fencing tokens and deadlines are left out: they are not personal data.
    """
    if audit is not None:
        await audit.log(AuditAction.EXPORT, participant=participant)
    person = await _person(store, participant)
    sessions = [
        said
        for session in await _all_sessions(store, participant)
        if (said := await _session(store, session)) is not None
    ]
    if person is None and not sessions:
        return None
    return {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "exported_at": datetime.now(UTC).isoformat(),
        "participant": {"pseudonym": participant} | (person or {}),
        "sessions": sessions,
        "audit": await _audited(store, participant),
    }


async def erase(
    store: SessionStore,
    participant: str,
    *,
    journal: ErasureJournal | None = None,
    audit: AuditLog | None = None,
    reason: str = "",
) -> Erased:
    """Erase everything about a participant, and check that nothing is left.

    The audit log notes the beginning, then the journal notes the erasure, then it is done, then the
    audit log notes the result. An unknown participant is erased too: a backup may hold data.

    Raises:
        JournalFailed: the journal cannot be written; nothing was erased.
        NotErased: something is left.
        StoreUnavailable, StoreRefused: the erasure may have happened or not; erase again.
    """
    if audit is not None:
        await audit.log(AuditAction.ERASE, participant=participant, detail=reason)
    if journal is not None:
        created = await created_at(store, participant) or 0
        await journal.note(store.keyring, participant, created=created)
    erased = await store.erase(participant)
    if audit is not None:
        await audit.log(
            AuditAction.ERASED,
            participant=participant,
            detail=f"sessions={erased.sessions} left_over={erased.left_over}",
        )
    if erased.left_over:
        raise NotErased(participant, erased.left_over)
    return erased


async def erase_session(  # noqa: PLR0913 (what ``erase`` takes, and the session)
    store: SessionStore,
    participant: str,
    session_id: str,
    *,
    journal: ErasureJournal | None = None,
    audit: AuditLog | None = None,
    reason: str = "",
) -> bool:
    """Erase one session; return whether it existed.

    Raises:
        JournalFailed, NotErased, StoreUnavailable, StoreRefused: as for ``erase``.
    """
    about = {"participant": participant, "session_id": session_id}
    if audit is not None:
        await audit.log(AuditAction.ERASE, **about, detail=reason)
    if journal is not None:
        await journal.note(store.keyring, participant, session_id)
    existed = await store.delete(participant, session_id)
    left_over = int(await store.exists(participant, session_id))
    if audit is not None:
        detail = f"sessions={int(existed)} left_over={left_over}"
        await audit.log(AuditAction.ERASED, **about, detail=detail)
    if left_over:
        raise NotErased(participant, left_over)
    return existed


async def consent(store: SessionStore, participant: str) -> ConsentState | None:
    """Return what a participant agreed to; ``None`` if nothing was noted."""
    stored = await store.participant(participant)
    return None if stored is None or stored.consent is None else _consent_state(stored.consent)


async def set_consent(
    store: SessionStore, participant: str, *, given: bool, version: str
) -> ConsentState | None:
    """Note whether a participant agrees; ``None`` if the participant is unknown.

    Args:
        store: the store.
        participant: the pseudonym.
        given: whether the participant agrees.
        version: version of the text that was shown, 1 to 64 characters.
    """
    if not 1 <= len(version) <= MAX_CONSENT_VERSION_CHARS or not version.isprintable():
        raise InvalidValue(
            f"the version of a consent has 1 to {MAX_CONSENT_VERSION_CHARS} printable characters"
        )
    noted = await store.set_consent(participant, given=given, version=version)
    return None if noted is None else _consent_state(noted)


async def set_retention(store: SessionStore, participant: str, retention: timedelta | None) -> bool:
    """Set how long a participant's sessions are kept; ``None`` for the default.

    Returns whether there is such a participant.
    """
    if retention is not None and not MIN_RETENTION <= retention <= MAX_RETENTION:
        raise InvalidValue(f"a retention is between 1 s and {MAX_RETENTION.days} days")
    retention_ms = None if retention is None else round(retention.total_seconds() * 1000)
    return await store.set_retention(participant, retention_ms)


async def _person(store: SessionStore, participant: str) -> dict[str, Any] | None:
    try:
        stored = await store.participant(participant)
    except SealBroken as error:
        return {"unreadable": str(error)}
    if stored is None:
        return None
    agreed = None if stored.consent is None else _consent_state(stored.consent)
    return {
        "created": time_of(stored.created).isoformat(),
        "consent": agreed
        and {"given": agreed.given, "version": agreed.version, "at": agreed.at.isoformat()},
        "retention_s": None if stored.retention_ms is None else stored.retention_ms / 1000,
        "data_key_id": stored.wrapped.data_key_id,
        "wrapped_by": stored.wrapped.kek_id,
    }


async def _all_sessions(store: SessionStore, participant: str) -> list[Session]:
    """List all sessions. They may move between pages while this reads."""
    found: dict[str, Session] = {}
    known = -1
    while len(found) > known:
        known, offset, total = len(found), 0, 1
        while offset < total:
            page = await store.sessions(participant, offset=offset, limit=_PAGE)
            found |= {session.id: session for session in page.sessions}
            offset, total = offset + _PAGE, page.total
    return sorted(found.values(), key=lambda session: session.last_seen, reverse=True)


async def _session(store: SessionStore, listed: Session) -> dict[str, Any] | None:
    """Read one session with its turns; ``None`` if it was erased in the meantime."""
    try:
        loaded = await store.load(listed.participant, listed.id)
    except (SealBroken, UnknownKey, UnknownSchema) as error:
        return listed.model_dump(mode="json", exclude={"content"}) | {"unreadable": str(error)}
    if loaded is None:
        return None
    turns = [
        {"seq": recorded.seq, "late": recorded.late} | recorded.turn.model_dump(mode="json")
        for recorded in loaded.turns
    ]
    being_said = [draft.turn.model_dump(mode="json") for draft in loaded.drafts]
    return loaded.session.model_dump(mode="json") | {
        "turns": turns,
        "being_said": being_said,
        "work": loaded.work and work_as_json(loaded.work),
        "works_before": [work_as_json(work) for work in loaded.works_before],
    }


def work_as_json(work: Work) -> dict[str, Any]:
    """Return the number of its turn as "seq", and its "data", or "base64" if that is not JSON."""
    try:
        return {"seq": work.seq, "data": orjson.loads(work.data)}
    except ValueError:
        return {"seq": work.seq, "base64": base64.b64encode(work.data).decode()}


async def _audited(store: SessionStore, participant: str) -> list[dict[str, str]]:
    """List the audit entries about a participant, without the actors."""
    return [
        {name: entry.fields.get(name, "") for name in ("at", "action", "session", "detail")}
        async for entry in AuditLog(store.side, store.keyring, actor="export").entries()
        if entry.fields.get("participant") == participant
    ]


def _consent_state(noted: Consent) -> ConsentState:
    return ConsentState(noted.given, noted.version, time_of(noted.at))
