"""The text of a turn before it is sealed, since schema version 2: numbers, then words, no names.

Layout::

    what (1) | created_at (8, IEEE 754 double) | id | details | text (the rest)

``what`` encodes five values, each by its place in a tuple of this file (``_KINDS`` and on)::

    kind + 4 * (role + 5 * (interrupted + 2 * (form of id + 2 * form of details)))

===============  ==========================================================================
form of id       0: length in bytes (1) | id; length 0 stands for: 0 (1) | length (2) | id
                 1: the 6 bytes that LiveKit's own ids have, ``item_`` and 12 hex digits
form of details  0: there are none
                 1: length (4) | JSON
                 2: the same, for what ``orjson`` does not write: whole numbers beyond 64
                    bits, or one more level of nesting
===============  ==========================================================================

Numbers are big-endian, words are UTF-8. A LiveKit message takes 15 bytes more than its text.
"""

from __future__ import annotations

import json
import re
import struct
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import BaseModel

from session_store.errors import InvalidValue
from session_store.models import MAX_ID_CHARS, MAX_TURN_BYTES, Turn, TurnKind

if TYPE_CHECKING:
    from collections.abc import Mapping

# The order within each is part of the format. New values go into a new version.
_KINDS: Final = (
    TurnKind.MESSAGE,
    TurnKind.TOOL_CALL,
    TurnKind.TOOL_OUTPUT,
    TurnKind.HANDOFF,
)
_ROLES: Final = (None, "user", "assistant", "system", "developer")
_INTERRUPTED: Final = (False, True)
_ANY_ID, _LIVEKIT_ID = range(2)
_NO_DETAILS, _DETAILS, _LARGE_DETAILS = range(3)

_MEANINGS: Final = tuple(
    (kind, role, interrupted, id_form, details_form)
    for details_form, id_form, interrupted, role, kind in product(
        (_NO_DETAILS, _DETAILS, _LARGE_DETAILS),
        (_ANY_ID, _LIVEKIT_ID),
        _INTERRUPTED,
        _ROLES,
        _KINDS,
    )
)
_WHAT: Final = {meaning: what for what, meaning in enumerate(_MEANINGS)}

_HEAD: Final = struct.Struct(">Bd")
_LIVEKIT_PREFIX: Final = "item_"
_LIVEKIT_BYTES: Final = 6
_LIVEKIT_DIGITS: Final = re.compile(r"item_([0-9a-f]{12})").fullmatch
"""As ``models.Identifier`` has it: at most 512 bytes."""

_FIELDS: Final = set(Turn.model_fields)
# What a pydantic model consists of. Its own ``__setattr__`` refuses, since turns are frozen.
_set_values, _set_names, _set_extra, _set_private = (
    vars(BaseModel)[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


def plain_of(turn: Turn) -> bytes:
    """Encode a turn to be sealed.

    Raises:
        InvalidValue: it is larger than 256 KiB, or not valid Unicode or JSON.
    """
    try:
        plain = encode_turn(turn)
    except ValueError:
        raise InvalidValue(
            f"turn {turn.id} is not valid: its words must be Unicode, its details JSON"
        ) from None
    if len(plain) > MAX_TURN_BYTES:
        raise InvalidValue(
            f"turn {turn.id} has {len(plain)} bytes; at most {MAX_TURN_BYTES} are kept"
        )
    return plain


def encode_turn(turn: Turn) -> bytes:
    """Write a turn; ``decode_turn`` reads an equal one.

    Raises:
        ValueError: it has a lone surrogate, or was changed and is not a valid turn now.
    """
    turn_id, created_at, details = turn.id, turn.created_at, turn.details
    details_form, written = _write_details(details) if details else (_NO_DETAILS, b"")
    digits = _LIVEKIT_DIGITS(turn_id)
    id_form = _ANY_ID if digits is None else _LIVEKIT_ID
    what = _WHAT.get((turn.kind, turn.role, turn.interrupted, id_form, details_form))
    if what is None or not 0 < len(turn_id) <= MAX_ID_CHARS or not isfinite(created_at):
        raise ValueError("the turn is not valid")
    name = _write_id(turn_id) if digits is None else bytes.fromhex(digits[1])
    return _HEAD.pack(what, created_at) + name + written + turn.text.encode()


def decode_turn(plain: bytes) -> Turn:
    """Read what ``encode_turn`` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        what, created_at = _HEAD.unpack_from(plain)
        kind, role, interrupted, id_form, details_form = _MEANINGS[what]
        at = _HEAD.size
        if id_form == _LIVEKIT_ID:
            start, at = at, at + _LIVEKIT_BYTES
            turn_id = _LIVEKIT_PREFIX + plain[start:at].hex()
        else:
            start, at = _span_of_id(plain, at)
            turn_id = plain[start:at].decode()
        details: dict[str, Any] = {}
        if details_form:
            start, at = _span_of_details(plain, at)
            details = _read_details(details_form, plain[start:at])
    except (struct.error, IndexError):
        raise ValueError("the turn is cut short, or of an unknown kind") from None
    if at > len(plain) or not 0 < len(turn_id) <= MAX_ID_CHARS or not isfinite(created_at):
        raise ValueError("the turn is cut short, or not valid")
    fields = {
        "id": turn_id,
        "kind": kind,
        "role": role,
        "text": plain[at:].decode(),
        "created_at": created_at,
        "interrupted": interrupted,
        "details": details,
    }
    # What JSON with numbers of any size can hold, a turn need not: infinity, say.
    return Turn.model_validate(fields) if details_form == _LARGE_DETAILS else _made_of(fields)


def _write_id(turn_id: str) -> bytes:
    written = turn_id.encode()
    size = len(written)
    return (bytes((size,)) if size < 256 else b"\0" + size.to_bytes(2)) + written  # noqa: PLR2004 (what one byte holds)


def _span_of_id(plain: bytes, at: int) -> tuple[int, int]:
    size = plain[at]
    if size:
        return at + 1, at + 1 + size
    return at + 3, at + 3 + int.from_bytes(plain[at + 1 : at + 3])


def _write_details(details: Mapping[str, Any]) -> tuple[int, bytes]:
    form = _DETAILS
    try:
        written = orjson.dumps(details)
    except TypeError:
        form, written = _LARGE_DETAILS, _write_large(details)
    return form, len(written).to_bytes(4) + written


def _write_large(details: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(details, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError):
        raise ValueError("the details of the turn are not JSON") from None
    return text.encode()


def _span_of_details(plain: bytes, at: int) -> tuple[int, int]:
    start = at + 4
    return start, start + int.from_bytes(plain[at:start])


def _read_details(form: int, written: bytes) -> dict[str, Any]:
    try:
        details = orjson.loads(written) if form == _DETAILS else json.loads(written)
    except RecursionError:
        raise ValueError("the details of the turn are nested too deeply") from None
    if not isinstance(details, dict):
        raise ValueError("the details of the turn are no JSON object")  # noqa: TRY004 (bytes of another shape are a ValueError)
    return details


def _made_of(fields: dict[str, Any]) -> Turn:
    """Make a turn of fields that are known to be valid, in a third of the time of validating them.

    Does as ``BaseModel.model_construct``, which looks for aliases and defaults besides, and takes
    longer than validation.
    """
    turn = object.__new__(Turn)
    _set_values(turn, fields)
    _set_names(turn, _FIELDS.copy())
    _set_extra(turn, None)
    _set_private(turn, None)
    return turn
