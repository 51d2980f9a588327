"""A conversation that begins while the store is away.

Nobody has granted its lease yet. What is said is numbered from 1 and sealed under a data key of
its own, which is wrapped like any other, and waits. When the store is back, ``join_begun`` asks
for the lease, and what waits is numbered and sealed anew behind what the store has. Where the job
must end before that, it leaves all of it in the spool, and ``bring_in`` keeps it as late turns.

Either way nothing comes back of somebody who was erased meanwhile: the audit stream tells.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from session_store.audit import PAGE, AuditAction
from session_store.backends.base import JoinOutcome, LeaseRef
from session_store.crypto import NO_TAG, WrappedKey, tag_of
from session_store.errors import SealBroken, SessionEnded, SessionGone
from session_store.models import Session, SessionContent, SessionState
from session_store.schema import read_content, read_turn
from session_store.store import Joined, Lease, Replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.models import Turn
    from session_store.store import SessionStore

UNTITLED: Final = SessionContent()


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a conversation began without the store: what is needed to join later."""

    participant: str
    session_id: str
    """As the conversation calls it until it has joined."""
    exact: bool
    """Whether it is to be that session; else the one that goes on, or a new one."""
    begun_ms: int
    """Unix milliseconds, by this machine's clock."""
    wrapped: WrappedKey = field(repr=False)
    """The data key that its turns are sealed under."""


@dataclass(frozen=True, slots=True)
class LeftBegun:
    """What a job left that has never reached the store."""

    beginning: Beginning
    turns: tuple[bytes, ...]
    """Sealed, number 1 first."""
    content: bytes | None
    """Sealed as version 1."""


def begin(
    store: SessionStore, participant: str, session_id: str | None, attempt: str
) -> tuple[Beginning, Joined]:
    """Begin a conversation of which nothing is known. Asks the store for nothing.

    Args:
        store: the one that is away.
        participant: the pseudonym.
        session_id: the session that it is to be, where somebody has chosen one.
        attempt: as for ``join``; the same one then.

    Raises:
        SessionGone: that id was not made for this participant.
    """
    if session_id is not None and not store.keyring.owns(participant, session_id):
        raise SessionGone(session_id)
    now_ms = time.time_ns() // 1_000_000
    chosen = session_id or store.keyring.new_session_id(participant)
    wrapped = store.keyring.new_data_key(participant)
    lease = Lease(
        ref=LeaseRef(participant, chosen, attempt, "0", wrapped.data_key_id),
        data_key=store.keyring.unwrap(participant, wrapped),
        last_seq=0,
        last_tag=NO_TAG,
        saved_seq=0,
        saved_tag=NO_TAG,
        version=0,
        content=UNTITLED,
        granted=False,
    )
    session = Session(
        id=chosen,
        participant=participant,
        state=SessionState.LIVE,
        joined_at=None,
        last_seen=datetime.fromtimestamp(now_ms / 1000, UTC),
        resume_until=None,
        reconnect_count=0,
        seq=0,
        version=0,
        content=UNTITLED,
    )
    beginning = Beginning(participant, chosen, session_id is not None, now_ms, wrapped)
    return beginning, Joined(session, (), outcome=JoinOutcome.CREATED, lease=lease)


async def join_begun(
    store: SessionStore, beginning: Beginning, *, load_id: str, attempt: str
) -> Joined:
    """Ask for the lease, once. After ``StoreUnavailable`` and ``LeaseHeld``, ask again.

    A session that has ended meanwhile goes on; one that is not there is made, under its id.

    Raises:
        SessionGone: the participant was erased after this conversation had begun.
        LeaseHeld, StoreUnavailable, SealBroken, UnknownKey: as for ``join``.
    """
    await _refuse_erased(store, beginning)

    async def join() -> Joined:
        return await store.join(
            beginning.participant,
            session_id=beginning.session_id if beginning.exact else None,
            exact=beginning.exact,
            load_id=load_id,
            attempt=attempt,
        )

    try:
        return await join()
    except SessionEnded:
        await store.switch(beginning.participant, beginning.session_id)
    except SessionGone:
        await store.open_new(beginning.participant, session_id=beginning.session_id)
    return await join()


async def bring_in(store: SessionStore, left: LeftBegun) -> Replayed:
    """Keep what a job left that never joined. May be repeated; nothing is kept twice.

    Raises:
        StoreUnavailable: not all of it is there yet.
        SealBroken, UnknownKey, InvalidValue: it cannot be read.
    """
    beginning = left.beginning
    turns, content = _opened(store, left)
    try:
        await _refuse_erased(store, beginning)
    except SessionGone:
        return Replayed.ERASED
    participant = beginning.participant
    session_id = await _session_for(store, beginning)
    await store.bring_in(participant, session_id, beginning.begun_ms, turns)
    if content is not None:
        await store.edit(participant, session_id, partial(merged, said=content))
    return Replayed.LATE


def merged(stored: SessionContent, said: SessionContent) -> SessionContent:
    """Add to the stored content what was learnt without it: preferences, and what is missing.

    What was learnt later wins; lists get what they lack.
    """
    preferences = dict(stored.context.preferences)
    for name, value in said.context.preferences.items():
        known = preferences.get(name)
        if isinstance(known, list) and isinstance(value, list):
            preferences[name] = [*known, *(each for each in value if each not in known)]
        else:
            preferences[name] = value
    context = stored.context.model_copy(
        update={
            "preferences": preferences,
            "last_query": said.context.last_query or stored.context.last_query,
            "last_response": said.context.last_response or stored.context.last_response,
        }
    )
    return stored.model_copy(
        update={
            "context": context,
            "identity": stored.identity or said.identity,
            "metadata": stored.metadata or said.metadata,
            "language": said.language if said.language != UNTITLED.language else stored.language,
        }
    )


async def _session_for(store: SessionStore, beginning: Beginning) -> str:
    """Find the session that a conversation belongs to, or make it."""
    if not beginning.exact:
        return (await store.open(beginning.participant)).session.id
    participant, session_id = beginning.participant, beginning.session_id
    if await store.load(participant, session_id, last=0) is None:
        await store.open_new(participant, session_id=session_id)
    return session_id


async def _refuse_erased(store: SessionStore, beginning: Beginning) -> None:
    """Raise ``SessionGone`` if the participant was erased after the beginning."""
    after = f"{beginning.begun_ms}-0"
    while entries := await store.backend.side.audited(after, PAGE):
        for entry in entries:
            fields = entry.fields
            if (
                fields.get("action") == AuditAction.ERASED
                and fields.get("participant") == beginning.participant
                and fields.get("session") in {"", beginning.session_id}
            ):
                raise SessionGone(beginning.session_id)
        after = entries[-1].id


def _opened(store: SessionStore, left: LeftBegun) -> tuple[Sequence[Turn], SessionContent | None]:
    beginning = left.beginning
    key = store.keyring.unwrap(beginning.participant, beginning.wrapped)
    turns, tag = [], NO_TAG
    for seq, sealed in enumerate(left.turns, 1):
        plain = key.open_turn(beginning.session_id, seq, tag, sealed)
        try:
            turns.append(read_turn(sealed[0], plain))
        except ValueError:
            raise SealBroken(f"turn {seq}", beginning.session_id) from None
        tag = tag_of(sealed)
    if left.content is None:
        return turns, None
    plain = key.open_content(beginning.session_id, 1, left.content)
    try:
        return turns, read_content(left.content[0], plain)
    except ValueError:
        raise SealBroken("the content", beginning.session_id) from None
