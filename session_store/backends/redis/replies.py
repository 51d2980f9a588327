"""Reading the replies of the scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from session_store.backends.values import (
    DRAFT_ROLES,
    STATES,
    Consent,
    FoundSession,
    LateTurn,
    SealedDraft,
    SealedWork,
    StoredParticipant,
    StoredSession,
)
from session_store.errors import SealBroken
from session_store.events import Event
from session_store.sealing.data_key import TAG_BYTES, WrappedKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_YEAR_10000_MS: Final = 253_402_300_800_000
_LATE: Final = re.compile(rb"late:(\d+):(\d+)")
_WORK_BEFORE: Final = b"work_before:"


def events_in(reply: Sequence[bytes]) -> tuple[Event, ...]:
    """Read the events that a script published."""
    return tuple(Event.model_validate_json(payload) for payload in reply)


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """Turn ``[name, value, name, value, ...]`` into a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def session_in(  # noqa: PLR0913, PLR0917 (the parts of a reply, in their order)
    session_id: str,
    now: bytes,
    data_key: Sequence[bytes | None],
    flat: Sequence[bytes],
    turns: Sequence[bytes],
    head: bytes | None = None,
    *,
    listed: bool = False,
) -> StoredSession:
    """Build a session from the parts of a reply.

    Args:
        session_id: its id.
        now: Redis's clock, in Unix milliseconds.
        data_key: ``dkid``, ``kek`` and ``wrapped`` of the participant.
        flat: the session hash, names and values in turn.
        turns: sealed, oldest first.
        head: tag before the first of ``turns``; by default the tag before all that are kept.
        listed: whether it is one of many. A broken session must not hide the others.

    Raises:
        SealBroken: the wrapped data key is missing or another one, so the session does not open;
            or a field is not valid. Not if it is ``listed``: then its key does not unwrap.
    """
    try:
        return _session_in(session_id, now, data_key, flat, turns, head, listed=listed)
    except (ValueError, KeyError):
        if not listed:
            raise SealBroken("the record", session_id) from None
        nothing = (b"state", b"ended")
        return _session_in(session_id, now, (None, None, None), nothing, (), listed=True)


def _session_in(  # noqa: PLR0913, PLR0917 (as above)
    session_id: str,
    now: bytes,
    data_key: Sequence[bytes | None],
    flat: Sequence[bytes],
    turns: Sequence[bytes],
    head: bytes | None = None,
    *,
    listed: bool = False,
) -> StoredSession:
    fields = pairs(flat)
    own = fields.get(b"dkid", b"")
    dkid, kek, wrapped = data_key
    if dkid != own or kek is None or wrapped is None:
        if not listed:
            raise SealBroken("the data key", session_id)
        # Opening it fails; the reader of the list reports that.
        dkid, kek, wrapped = own, kek or b"", b""

    def number(name: bytes) -> int:
        return _number(fields.get(name, b"0"))

    slots = _draft_slots_in(fields)
    state = fields[b"state"].decode()
    if state not in STATES:
        raise ValueError(state)
    return StoredSession(
        id=session_id,
        wrapped=WrappedKey(dkid.decode(), kek.decode(), wrapped),
        now=int(now),
        state=state,
        reconnect_count=number(b"reconnect_count"),
        joined_at=number(b"joined_at"),
        last_seen=number(b"last_seen"),
        seq=number(b"seq"),
        version=number(b"version"),
        fence=fields.get(b"fence", b"0").decode(),
        owner=fields.get(b"owner", b"").decode(),
        lease_until=number(b"lease_until"),
        window_until=number(b"window_until"),
        ended_at=number(b"ended_at"),
        talk_ms=number(b"talk_ms"),
        gap_ms=number(b"gap_ms"),
        scope=fields.get(b"scope", b"").decode(),
        head=fields.get(b"head", b"") if head is None else head,
        content=fields.get(b"content"),
        turns=turns,
        late=_late_in(fields),
        drafts=[slot for slot in slots if slot.sealed],
        draft_number=slots[-1].number if slots else 0,
        work=_work_in(fields),
        works_before=_works_before_in(fields),
    )


def _number(text: bytes) -> int:
    """Read a count, or a time in Unix milliseconds.

    Raises:
        ValueError: it is not a number, or beyond the year 9999.
    """
    number = int(text)
    if not 0 <= number < _YEAR_10000_MS:
        raise ValueError
    return number


def found_in(reply: Sequence[Any]) -> FoundSession:
    """Read a reply that ``found_reply`` in ``_find.lua`` made."""
    _, now, session_id, _, created, dkid, kek_id, wrapped, mark, event_count, *rest = reply
    field_count, *rest = rest
    flat, turns = rest[event_count : event_count + field_count], rest[event_count + field_count :]
    session = session_in(session_id.decode(), now, (dkid, kek_id, wrapped), flat, turns)
    told = events_in(rest[:event_count])
    return FoundSession(session, created == b"1", told, mark.decode(errors="replace"))


def participant_in(flat: Sequence[bytes]) -> StoredParticipant | None:
    """Read a participant's hash; ``None`` if it is empty.

    Raises:
        SealBroken: a field is missing, or is not valid.
    """
    fields = {name.decode(errors="replace"): value for name, value in pairs(flat).items()}
    if not fields:
        return None
    if not {"dkid", "kek", "wrapped", "created"} <= fields.keys():
        raise SealBroken("the data key")
    try:
        consent = None
        if "consent" in fields:
            consent = Consent(
                fields["consent"] == b"1",
                fields["consent_version"].decode(),
                _number(fields["consent_at"]),
            )
        return StoredParticipant(
            wrapped=WrappedKey(fields["dkid"].decode(), fields["kek"].decode(), fields["wrapped"]),
            created=_number(fields["created"]),
            consent=consent,
            retention_ms=_number(fields["keep_ms"]) if "keep_ms" in fields else None,
        )
    except (ValueError, KeyError):
        raise SealBroken("the record of a participant") from None


def words(parts: Sequence[Any]) -> list[str]:
    """Decode ids and other words."""
    return [part.decode() for part in parts]


def _draft_slots_in(fields: Mapping[bytes, bytes]) -> list[SealedDraft]:
    """Read the draft slots by number. A slot whose draft became a turn holds nothing sealed."""
    slots = []
    for role in DRAFT_ROLES:
        kept = fields.get(b"draft:" + role.encode())
        if kept is not None:
            number, _, sealed = kept.partition(b":")
            slots.append(SealedDraft(role, _number(number), sealed))
    return sorted(slots, key=lambda slot: slot.number)


def _late_in(fields: Mapping[bytes, bytes]) -> tuple[LateTurn, ...]:
    late = []
    for name, value in fields.items():
        found = _LATE.fullmatch(name) if name.startswith(b"late:") else None
        if found:
            fence, seq = int(found[1]), int(found[2])
            late.append(LateTurn(fence, seq, value[:TAG_BYTES], value[TAG_BYTES:]))
    return tuple(sorted(late))


def _work_in(fields: Mapping[bytes, bytes]) -> SealedWork | None:
    """Read what the program works on. If only one of the two fields is there, it does not open."""
    seq, sealed = fields.get(b"work_seq"), fields.get(b"work")
    if seq is None and sealed is None:
        return None
    return SealedWork(_number(seq or b"0"), sealed or b"")


def _works_before_in(fields: Mapping[bytes, bytes]) -> tuple[SealedWork, ...]:
    works = []
    for _, value in sorted(each for each in fields.items() if each[0].startswith(_WORK_BEFORE)):
        seq, _, sealed = value.partition(b":")
        works.append(SealedWork(_number(seq), sealed))
    return tuple(works)
