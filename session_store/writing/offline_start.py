"""A conversation that begins while the store is unreachable.

Its lease is not granted yet. Its turns are numbered from 1, sealed under a data key of their own,
and wait. Once the store is back, ``join_begun`` asks for the lease. Then the turns are numbered and
sealed again, after those that the store has. If the job must end earlier, it leaves its turns in
the spool, and ``bring_in`` keeps them as late turns.

In both cases, nothing is written about a participant that was erased in the meantime: the store
knows the time of the erasure.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from session_store.backends.values import JoinOutcome, LeaseRef
from session_store.errors import SessionEnded, SessionGone
from session_store.models import Session, SessionContent, SessionState
from session_store.sealing.data_key import NO_TAG, WrappedKey
from session_store.sealing.opening import open_chain, open_content, time_of
from session_store.values import Joined, Lease, Replayed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from session_store.backends.values import SealedWork
    from session_store.models import Turn
    from session_store.store import SessionStore

UNTITLED: Final = SessionContent()
CLOCKS_DIFFER_MS: Final = 10_000
"""How far this machine's clock may differ from Redis's; erasures still hold then."""


@dataclass(frozen=True, slots=True)
class OfflineStart:
    """How a conversation began without the store: all that a later join needs."""

    participant: str
    session_id: str
    """The id that the conversation uses until it has joined."""
    exact: bool
    """Whether only that session will do; else the one that can resume, or a new one."""
    begun_ms: int
    """Unix milliseconds of this machine."""
    wrapped: WrappedKey = field(repr=False)
    """The data key of its turns."""
    scope: str | None = None
    """As for ``SessionStore.open``."""


@dataclass(frozen=True, slots=True)
class SpooledStart:
    """What a job left of a conversation that never reached the store."""

    start: OfflineStart
    turns: tuple[bytes, ...]
    """Sealed turns; the first has number 1."""
    content: bytes | None
    """Content, sealed as version 1."""
    into: str | None = None
    """The session that it belongs to, once that is known."""
    work: SealedWork | None = None
    """What the program worked on at the newest turn that was recorded with a work."""


def begin(  # noqa: PLR0913 (most have a default)
    store: SessionStore,
    participant: str,
    session_id: str | None,
    owner: str,
    *,
    begun_ms: int | None = None,
    scope: str | None = None,
) -> tuple[OfflineStart, Joined]:
    """Begin a conversation without the store, and without a call to it.

    Args:
        store: the store that is unreachable.
        participant: the pseudonym.
        session_id: the session that was chosen; ``None`` if none was.
        owner: as for ``join``; use the same one there.
        begun_ms: when the participant was admitted, in Unix milliseconds, if that was earlier. A
            later erasure holds.
        scope: as for ``SessionStore.open``.

    Raises:
        SessionGone: the id was not made for this participant.
    """
    if session_id is not None and not store.keyring.owns(participant, session_id):
        raise SessionGone(session_id)
    now_ms = time.time_ns() // 1_000_000
    start = OfflineStart(
        participant,
        session_id or store.keyring.new_session_id(participant),
        exact=session_id is not None,
        begun_ms=min(begun_ms or now_ms, now_ms),
        wrapped=store.keyring.new_data_key(participant),
        scope=scope,
    )
    session = _new_session(start, now_ms)
    lease = _ungranted_lease(store, start, owner)
    return start, Joined(session, (), outcome=JoinOutcome.CREATED, lease=lease)


def _new_session(start: OfflineStart, now_ms: int) -> Session:
    return Session(
        id=start.session_id,
        participant=start.participant,
        state=SessionState.LIVE,
        joined_at=None,
        last_seen=time_of(now_ms),
        resume_until=None,
        reconnect_count=0,
        seq=0,
        version=0,
        content=UNTITLED,
    )


def _ungranted_lease(store: SessionStore, start: OfflineStart, owner: str) -> Lease:
    """Make the lease under which turns are sealed until the store grants one."""
    data_key_id = start.wrapped.data_key_id
    return Lease(
        ref=LeaseRef(start.participant, start.session_id, owner, "0", data_key_id),
        data_key=store.keyring.unwrap(start.participant, start.wrapped),
        last_seq=0,
        last_tag=NO_TAG,
        saved_seq=0,
        saved_tag=NO_TAG,
        version=0,
        content=UNTITLED,
        granted=False,
    )


async def join_begun(  # noqa: PLR0913 (as join)
    store: SessionStore,
    start: OfflineStart,
    *,
    load_id: str,
    owner: str,
    room: str = "",
    came_ms: int = 0,
) -> Joined:
    """Ask for the lease, once. After ``StoreUnavailable`` and ``LeaseHeld``, ask again.

    An ended session continues; a missing one is created under its id.

    Raises:
        SessionGone: the participant was erased after the conversation had begun.
        LeaseHeld, StoreUnavailable, SealBroken, UnknownKey: as for ``join``.
    """
    await _refuse_erased(store, start)

    async def join() -> Joined:
        return await store.join(
            start.participant,
            session_id=start.session_id if start.exact else None,
            exact=start.exact,
            load_id=load_id,
            owner=owner,
            room=room,
            came_ms=came_ms,
            scope=start.scope,
        )

    joined = await _made_and_joined(store, start, join)
    try:
        # An erasure between these calls would have been undone by the join.
        await _refuse_erased(store, start)
    except SessionGone:
        if joined.turns:
            await store.release(joined.lease)
        else:
            await store.delete(start.participant, joined.session.id)
        raise
    return joined


async def find_session(store: SessionStore, start: OfflineStart) -> str:
    """Find or create the session that a conversation belongs to.

    Raises:
        SessionGone: the participant was erased after it had begun; nothing was created.
    """
    await _refuse_erased(store, start)
    participant, session_id = start.participant, start.session_id
    if not start.exact:
        opened = await store.open(participant, scope=start.scope)
        session_id, is_new = opened.session.id, not opened.resumed
    elif is_new := await store.load(participant, session_id, last=0) is None:
        await store.open_new(participant, session_id=session_id, scope=start.scope)
    try:
        await _refuse_erased(store, start)
    except SessionGone:
        if is_new:
            await store.delete(participant, session_id)
        raise
    return session_id


async def bring_in(store: SessionStore, spooled: SpooledStart) -> Replayed:
    """Keep the turns of a job that never joined, in the session that ``find_session`` found.

    May be repeated with the same session; no turn is kept twice.

    Raises:
        StoreUnavailable: not all turns are written yet.
        SealBroken, UnknownKey, InvalidValue: they cannot be read.
    """
    start = spooled.start
    turns, content, work = _opened(store, spooled)
    session_id = spooled.into or start.session_id
    try:
        await _refuse_erased(store, start)
        # An erasure from now on takes the session away, or the data key that it looks for.
        await store.bring_in(start.participant, session_id, start.begun_ms, turns, work)
        if content is not None:
            await store.edit(start.participant, session_id, partial(merged, said=content))
    except SessionGone:
        return Replayed.ERASED
    return Replayed.LATE


def merged(stored: SessionContent, said: SessionContent) -> SessionContent:
    """Add what a conversation learnt without the store: preferences, and missing fields.

    The later preference wins; lists get the items that they lack.
    """
    preferences = dict(stored.context.preferences)
    for name, value in said.context.preferences.items():
        known = preferences.get(name)
        if isinstance(known, list) and isinstance(value, list):
            preferences[name] = [*known, *(item for item in value if item not in known)]
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


async def _made_and_joined(
    store: SessionStore, start: OfflineStart, join: Callable[[], Awaitable[Joined]]
) -> Joined:
    """Join; if the session has ended or does not exist, make it go on before that."""
    try:
        return await join()
    except SessionEnded:
        await store.switch(start.participant, start.session_id, scope=start.scope)
    except SessionGone:
        await store.open_new(start.participant, session_id=start.session_id, scope=start.scope)
    return await join()


async def _refuse_erased(store: SessionStore, start: OfflineStart) -> None:
    """Raise ``SessionGone`` if the participant was erased after the start."""
    erased_at = await store.erased_at(start.participant)
    if erased_at is not None and erased_at > start.begun_ms - CLOCKS_DIFFER_MS:
        raise SessionGone(start.session_id)


def _opened(
    store: SessionStore, spooled: SpooledStart
) -> tuple[Sequence[Turn], SessionContent | None, bytes | None]:
    start, session_id = spooled.start, spooled.start.session_id
    key = store.keyring.unwrap(start.participant, start.wrapped)
    turns = [recorded.turn for recorded in open_chain(key, session_id, spooled.turns)]
    content = work = None
    if spooled.content is not None:
        content = open_content(key, session_id, 1, spooled.content)
    if spooled.work is not None:
        work = key.open_work(session_id, spooled.work.seq, spooled.work.sealed)
    return turns, content, work
