"""A conversation that begins while the store is away.

Nobody has granted its lease yet. What is said is numbered from 1 and sealed under a data key of
its own, which is wrapped like any other, and waits. When the store is back, ``join_begun`` asks
for the lease, and what waits is numbered and sealed anew behind what the store has. Where the job
must end before that, it leaves all of it in the spool, and ``bring_in`` keeps it as late turns.

Either way nothing comes back of somebody who was erased meanwhile: the store knows when that was.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from session_store.backends.values import JoinOutcome, LeaseRef
from session_store.errors import SealBroken, SessionEnded, SessionGone
from session_store.models import Session, SessionContent, SessionState
from session_store.sealing.crypto import NO_TAG, WrappedKey, tag_of
from session_store.sealing.schema import read_content, read_turn
from session_store.values import Joined, Lease, Replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.models import Turn
    from session_store.store import SessionStore

UNTITLED: Final = SessionContent()
CLOCKS_DIFFER_MS: Final = 10_000
"""How far this machine's clock may be from Redis's, for an erasure to hold all the same."""


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
    into: str | None = None
    """The session that it belongs to, once that was found out."""


def begin(
    store: SessionStore,
    participant: str,
    session_id: str | None,
    owner: str,
    *,
    begun_ms: int | None = None,
) -> tuple[Beginning, Joined]:
    """Begin a conversation of which nothing is known. Asks the store for nothing.

    Args:
        store: the one that is away.
        participant: the pseudonym.
        session_id: the session that it is to be, where somebody has chosen one.
        owner: as for ``join``; the same one then.
        begun_ms: when somebody let the participant in (Unix milliseconds), if that was earlier:
            what is erased after that stays erased.

    Raises:
        SessionGone: that id was not made for this participant.
    """
    if session_id is not None and not store.keyring.owns(participant, session_id):
        raise SessionGone(session_id)
    now_ms = time.time_ns() // 1_000_000
    chosen = session_id or store.keyring.new_session_id(participant)
    wrapped = store.keyring.new_data_key(participant)
    lease = Lease(
        ref=LeaseRef(participant, chosen, owner, "0", wrapped.data_key_id),
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
    beginning = Beginning(
        participant,
        chosen,
        exact=session_id is not None,
        begun_ms=min(begun_ms or now_ms, now_ms),
        wrapped=wrapped,
    )
    return beginning, Joined(session, (), outcome=JoinOutcome.CREATED, lease=lease)


async def join_begun(
    store: SessionStore, beginning: Beginning, *, load_id: str, owner: str
) -> Joined:
    """Ask for the lease, once. After ``StoreUnavailable`` and ``LeaseHeld``, ask again.

    A session that has ended meanwhile goes on; one that is not there is made, under its id.

    Raises:
        SessionGone: the participant was erased after this conversation had begun.
        LeaseHeld, StoreUnavailable, SealBroken, UnknownKey: as for ``join``.
    """
    await _refuse_erased(store, beginning)
    joined = await _join(store, beginning, load_id=load_id, owner=owner)
    try:
        # An erasure between these calls would have been undone by the join.
        await _refuse_erased(store, beginning)
    except SessionGone:
        if joined.turns:
            await store.release(joined.lease)
        else:
            await store.delete(beginning.participant, joined.session.id)
        raise
    return joined


async def find_session(store: SessionStore, beginning: Beginning) -> str:
    """Find the session that a conversation belongs to, or make it.

    Raises:
        SessionGone: the participant was erased after it had begun; nothing was made.
    """
    await _refuse_erased(store, beginning)
    participant, session_id = beginning.participant, beginning.session_id
    if not beginning.exact:
        opened = await store.open(participant)
        session_id, is_new = opened.session.id, not opened.resumed
    elif is_new := await store.load(participant, session_id, last=0) is None:
        await store.open_new(participant, session_id=session_id)
    try:
        await _refuse_erased(store, beginning)
    except SessionGone:
        if is_new:
            await store.delete(participant, session_id)
        raise
    return session_id


async def bring_in(store: SessionStore, left: LeftBegun) -> Replayed:
    """Keep what a job left that never joined, in the session that ``find_session`` found.

    May be repeated with the same session; nothing is kept twice.

    Raises:
        StoreUnavailable: not all of it is there yet.
        SealBroken, UnknownKey, InvalidValue: it cannot be read.
    """
    beginning = left.beginning
    turns, content = _opened(store, left)
    session_id = left.into or beginning.session_id
    try:
        await _refuse_erased(store, beginning)
        # An erasure from now on takes the session away, or the data key that it looks for.
        await store.bring_in(beginning.participant, session_id, beginning.begun_ms, turns)
        if content is not None:
            await store.edit(beginning.participant, session_id, partial(merged, said=content))
    except SessionGone:
        return Replayed.ERASED
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


async def _join(store: SessionStore, beginning: Beginning, *, load_id: str, owner: str) -> Joined:
    async def join() -> Joined:
        return await store.join(
            beginning.participant,
            session_id=beginning.session_id if beginning.exact else None,
            exact=beginning.exact,
            load_id=load_id,
            owner=owner,
        )

    try:
        return await join()
    except SessionEnded:
        await store.switch(beginning.participant, beginning.session_id)
    except SessionGone:
        await store.open_new(beginning.participant, session_id=beginning.session_id)
    return await join()


async def _refuse_erased(store: SessionStore, beginning: Beginning) -> None:
    """Raise ``SessionGone`` if the participant was erased after the beginning."""
    erased_at = await store.erased_at(beginning.participant)
    if erased_at is not None and erased_at > beginning.begun_ms - CLOCKS_DIFFER_MS:
        raise SessionGone(beginning.session_id)


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
