"""From what a backend holds to what callers see: opening seals, and checking the chain of turns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_store.errors import SealBroken
from session_store.models import (
    RECOVERED,
    Draft,
    RecordedTurn,
    Session,
    SessionContent,
    SessionState,
)
from session_store.sealing.crypto import NO_TAG, tag_of
from session_store.sealing.schema import read_content, read_turn

if TYPE_CHECKING:
    from session_store.backends.values import StoredSession
    from session_store.models import Turn, Witness
    from session_store.sealing.crypto import DataKey


def session_of(
    participant: str, stored: StoredSession, content: SessionContent, *, readable: bool = True
) -> Session:
    """Put together what is stored in clear and what was sealed."""
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
        seq=stored.seq,
        version=stored.version,
        content=content,
        readable=readable,
    )


def content_of(key: DataKey, stored: StoredSession) -> SessionContent:
    """Open the content; the defaults where none was written yet.

    Raises:
        SealBroken, UnknownSchema: it is there but cannot be read.
    """
    if stored.content is None:
        if stored.version > 0:
            raise SealBroken("the content", stored.id)
        return SessionContent()
    plain = key.open_content(stored.id, stored.version, stored.content)
    try:
        return read_content(stored.content[0], plain)
    except ValueError:
        raise SealBroken("the content", stored.id) from None


def turns_of(key: DataKey, stored: StoredSession) -> tuple[RecordedTurn, ...]:
    """Open the chain of turns; the place of each follows from ``seq``, the number of the last.

    Turns that came late are put in by their time; not those that the page has said again to a
    successor, and that are there already under the same id. Where a successor had only the draft
    of one, the whole turn takes its place.

    Raises:
        SealBroken, UnknownSchema: one of them does not open, or one is missing.
    """
    turns = []
    tag = stored.head or NO_TAG
    first = stored.seq - len(stored.turns) + 1
    if first < 1 or (first > 1) != bool(stored.head):
        raise SealBroken("the turns", stored.id)
    for seq, sealed in enumerate(stored.turns, first):
        turns.append(_turn(key, stored.id, seq, tag, sealed))
        tag = tag_of(sealed)
    known = {each.turn.id: each for each in turns} if stored.late else {}
    for late in stored.late:
        each = _turn(key, stored.id, late.seq, late.tag_before, late.sealed)._replace(late=True)
        there = known.setdefault(each.turn.id, each)
        if there is each:
            _put_in_by_time(turns, each)
        elif _is_part_of(there.turn, each.turn):
            turns[turns.index(there)] = known[each.turn.id] = there._replace(turn=each.turn)
    return tuple(turns)


def drafts_of(key: DataKey, stored: StoredSession) -> tuple[Draft, ...]:
    """Open what was being said, by number; not what was taken back, which has no words.

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


def check_witness(witness: Witness | None, stored: StoredSession) -> None:
    """Compare the record with the newest turn that the content was sealed after.

    Raises:
        SealBroken: the record is shorter, or another one.
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


def _is_part_of(recovered: Turn, whole: Turn) -> bool:
    """Tell whether a turn was made of a draft, and the other has more."""
    return bool(recovered.details.get(RECOVERED)) and len(whole.text) > len(recovered.text)


def _put_in_by_time(turns: list[RecordedTurn], late: RecordedTurn) -> None:
    """Put a turn in before the first one that was spoken after it."""
    at = next(
        (i for i, each in enumerate(turns) if each.turn.created_at > late.turn.created_at),
        len(turns),
    )
    turns.insert(at, late)
