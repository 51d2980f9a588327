"""Stored sessions become readable here: seals are opened, and the chain of turns is checked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from session_store.errors import SealBroken, UnknownKey, UnknownSchema
from session_store.models import (
    RECOVERED,
    Draft,
    RecordedTurn,
    Session,
    SessionContent,
    SessionState,
    Work,
)
from session_store.sealing.data_key import NO_TAG, tag_of
from session_store.sealing.schema import read_content, read_turn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_store.backends.values import SealedWork, StoredSession
    from session_store.models import Turn, Witness
    from session_store.sealing.data_key import DataKey, WrappedKey
    from session_store.sealing.keyring import Keyring


UNREADABLE: Final = (SealBroken, UnknownKey, UnknownSchema)
_CACHED_KEYS: Final = 10_000


class Contents(NamedTuple):
    """A stored session, opened."""

    session: Session
    turns: tuple[RecordedTurn, ...]
    drafts: tuple[Draft, ...]
    work: Work | None


class Opener:
    """Opens stored sessions, and caches the data keys that it unwrapped."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        # By participant too: a wrapped key that was copied to another participant must not open.
        self._keys: dict[tuple[str, WrappedKey], DataKey] = {}

    def key_of(self, participant: str, wrapped: WrappedKey) -> DataKey:
        """Unwrap a participant's data key.

        Raises:
            UnknownKey, SealBroken: as for ``Keyring.unwrap``.
        """
        name = (participant, wrapped)
        key = self._keys.get(name)
        if key is None:
            key = self._keyring.unwrap(participant, wrapped)
            if len(self._keys) >= _CACHED_KEYS:
                self._keys.pop(next(iter(self._keys)))
            self._keys[name] = key
        return key

    def forget(self, participant: str) -> None:
        """Drop the data keys of an erased participant."""
        for name in [name for name in self._keys if name[0] == participant]:
            del self._keys[name]

    def clear(self) -> None:
        """Drop all data keys."""
        self._keys.clear()

    def open(self, participant: str, stored: StoredSession) -> Contents:
        """Open a whole session, and check its chain and its witness.

        Raises:
            SealBroken, UnknownKey, UnknownSchema: a part of it cannot be read.
        """
        key, content = self._content(participant, stored)
        turns = turns_of(key, stored)
        check_witness(content.witness, stored)
        return Contents(
            session_of(participant, stored, content),
            turns,
            drafts_of(key, stored),
            work_of(key, stored),
        )

    def works_before(self, participant: str, stored: StoredSession) -> tuple[Work, ...]:
        """Open the works that were put aside, oldest first. Raises as ``open``."""
        key = self.key_of(participant, stored.wrapped)
        return tuple(_work(key, stored.id, work) for work in stored.works_before)

    def open_listed(self, participant: str, stored: StoredSession) -> Session:
        """Open a session without its turns, for a list. Raises as ``open``."""
        return session_of(participant, stored, self._content(participant, stored)[1])

    def _content(self, participant: str, stored: StoredSession) -> tuple[DataKey, SessionContent]:
        key = self.key_of(participant, stored.wrapped)
        self._check_id(participant, stored)
        return key, content_of(key, stored)

    def _check_id(self, participant: str, stored: StoredSession) -> None:
        """Refuse an id that was made for another participant, if nothing sealed proves it.

        A sealed record is bound to its session's id, and so proves it.
        """
        sealed = (stored.turns, stored.late, stored.drafts, stored.work)
        proven = stored.content is not None or any(sealed)
        if not proven and not self._keyring.owns(participant, stored.id):
            raise SealBroken("the id", stored.id)


def session_of(
    participant: str, stored: StoredSession, content: SessionContent, *, readable: bool = True
) -> Session:
    """Join the stored plain fields and the opened content."""
    away, ended = stored.state == SessionState.AWAY, stored.state == SessionState.ENDED
    return Session(
        id=stored.id,
        participant=participant,
        state=SessionState(stored.state),
        joined_at=time_of(stored.joined_at) if stored.joined_at else None,
        last_seen=time_of(stored.last_seen),
        resume_until=time_of(stored.window_until) if away else None,
        ended_at=time_of(stored.ended_at) if ended else None,
        talk_s=stored.talk_ms / 1000,
        reconnect_count=stored.reconnect_count,
        scope=stored.scope,
        seq=stored.seq,
        version=stored.version,
        content=content,
        readable=readable,
    )


def content_of(key: DataKey, stored: StoredSession) -> SessionContent:
    """Open the content; the defaults if none was written yet.

    Raises:
        SealBroken, UnknownSchema: it cannot be read.
    """
    if stored.content is not None:
        return open_content(key, stored.id, stored.version, stored.content)
    if stored.version > 0:
        raise SealBroken("the content", stored.id)
    return SessionContent()


def open_content(key: DataKey, session_id: str, version: int, sealed: bytes) -> SessionContent:
    """Open content that was sealed as this version.

    Raises:
        SealBroken, UnknownSchema: it cannot be read.
    """
    plain = key.open_content(session_id, version, sealed)
    try:
        return read_content(sealed[0], plain)
    except ValueError:
        raise SealBroken("the content", session_id) from None


def open_chain(
    key: DataKey,
    session_id: str,
    chain: Iterable[bytes],
    *,
    first: int = 1,
    tag_before: bytes = NO_TAG,
) -> list[RecordedTurn]:
    """Open sealed turns that follow each other, oldest first.

    Args:
        key: what sealed them.
        session_id: their session.
        chain: the sealed turns.
        first: the number of the first one.
        tag_before: the tag of the turn before it.

    Raises:
        SealBroken, UnknownSchema: one of them does not open, or one is missing.
    """
    turns = []
    for seq, sealed in enumerate(chain, first):
        turns.append(_turn(key, session_id, seq, tag_before, sealed))
        tag_before = tag_of(sealed)
    return turns


def turns_of(key: DataKey, stored: StoredSession) -> tuple[RecordedTurn, ...]:
    """Open the chain of turns; ``stored.seq`` is the number of the last one.

    Late turns are put in by their time. A late turn is dropped if the record has its id: the page
    had said it again to a successor. If the successor had made a turn from its draft, the whole
    late turn replaces that.

    Raises:
        SealBroken, UnknownSchema: one of them does not open, or one is missing.
    """
    first = stored.seq - len(stored.turns) + 1
    if first < 1 or (first > 1) != bool(stored.head):
        raise SealBroken("the turns", stored.id)
    head = stored.head or NO_TAG
    turns = open_chain(key, stored.id, stored.turns, first=first, tag_before=head)
    known = {recorded.turn.id: recorded for recorded in turns} if stored.late else {}
    for late in stored.late:
        recorded = _turn(key, stored.id, late.seq, late.tag_before, late.sealed)
        recorded = recorded._replace(late=True)
        there = known.setdefault(recorded.turn.id, recorded)
        if there is recorded:
            _put_in_by_time(turns, recorded)
        elif _is_part_of(there.turn, recorded.turn):
            whole = there._replace(turn=recorded.turn)
            turns[turns.index(there)] = known[recorded.turn.id] = whole
    return tuple(turns)


def drafts_of(key: DataKey, stored: StoredSession) -> tuple[Draft, ...]:
    """Open the drafts, ordered by number, without empty ones, which were taken back.

    Raises:
        SealBroken, UnknownSchema: one of the drafts does not open.
    """
    drafts = []
    for role, number, sealed in stored.drafts:
        plain = key.open_draft(stored.id, role, number, sealed)
        try:
            drafts.append(Draft(number, read_turn(sealed[0], plain)))
        except ValueError:
            raise SealBroken(f"draft {number}", stored.id) from None
    return tuple(draft for draft in drafts if draft.turn.text)


def work_of(key: DataKey, stored: StoredSession) -> Work | None:
    """Open what the program works on; ``None`` if nothing was recorded.

    Raises:
        SealBroken, UnknownSchema: it does not open, or the turn with which it was recorded is
            missing: the record was cut at its end.
    """
    if stored.work is None:
        return None
    work = _work(key, stored.id, stored.work)
    if work.seq > stored.seq:
        raise SealBroken("the end of the record", stored.id)
    return work


def check_witness(witness: Witness | None, stored: StoredSession) -> None:
    """Compare the record with the turn that was its newest when the content was sealed.

    Raises:
        SealBroken: the record is shorter, or has another turn there.
    """
    if witness is None or witness.seq == 0:
        return
    back = stored.seq - witness.seq
    if back < 0:
        raise SealBroken("the end of the record", stored.id)
    if back < len(stored.turns):
        tag = tag_of(stored.turns[len(stored.turns) - 1 - back])
    elif back == len(stored.turns):
        tag = stored.head
    else:
        return
    if tag.hex() != witness.tag:
        raise SealBroken(f"turn {witness.seq}", stored.id)


def newest_tag(stored: StoredSession) -> bytes:
    """Return the tag that the next turn is chained to."""
    return tag_of(stored.turns[-1]) if stored.turns else NO_TAG


def time_of(unix_ms: int) -> datetime:
    """Convert Unix milliseconds to a UTC time."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def _turn(
    key: DataKey, session_id: str, seq: int, tag_before: bytes, sealed: bytes
) -> RecordedTurn:
    plain = key.open_turn(session_id, seq, tag_before, sealed)
    try:
        return RecordedTurn(seq, read_turn(sealed[0], plain))
    except ValueError:
        raise SealBroken(f"turn {seq}", session_id) from None


def _work(key: DataKey, session_id: str, work: SealedWork) -> Work:
    return Work(work.seq, key.open_work(session_id, work.seq, work.sealed))


def _is_part_of(recovered: Turn, whole: Turn) -> bool:
    """Return whether a turn was made from a draft, and the other turn is longer."""
    return bool(recovered.details.get(RECOVERED)) and len(whole.text) > len(recovered.text)


def _put_in_by_time(turns: list[RecordedTurn], late: RecordedTurn) -> None:
    """Insert a turn before the first turn that was spoken after it."""
    at = next(
        (
            place
            for place, recorded in enumerate(turns)
            if recorded.turn.created_at > late.turn.created_at
        ),
        len(turns),
    )
    turns.insert(at, late)
