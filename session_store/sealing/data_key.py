"""Data keys and their seals: no personal data reaches Redis in clear.

Every participant has a random data key; AES-256-GCM under it seals each turn and each session's
content. The data key itself is stored wrapped by a key-encryption key of the keyring, so erasing
the wrapped key makes everything sealed under it unreadable.

The associated data binds each record to its place. A turn's is::

    "rj1" | schema | "t" | data key id | session id | seq (8 bytes) | tag of the turn before

so a turn does not open if it was changed, moved, swapped or replayed, or if the turn before it was
removed. A draft's (words that are not a turn yet) is::

    "rj1" | schema | "d" | data key id | session id | role | number (8 bytes)

A work's (what the program works on) is the following, with the number of the turn with which it was
recorded::

    "rj1" | schema | "w" | data key id | session id | seq (8 bytes)

A sealed record is ``schema (1) | nonce (12) | ciphertext | tag (16)``: 29 bytes more than its text.
It is opened with the associated data of its own schema version, so that every version stays
readable; ``sealing.schema`` reads the text of each version. Wrapped keys and key checks have a
version of their own, which is still 1.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from session_store.errors import SealBroken, UnknownSchema
from session_store.models import SCHEMA_VERSION

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
NO_TAG: Final = bytes(TAG_BYTES)
"""The tag before the first turn."""

_DOMAIN: Final = b"rj1"


class WrappedKey(NamedTuple):
    """A data key as Redis holds it."""

    data_key_id: str
    """32 hex digits, never used twice."""
    kek_id: str
    wrapped: bytes


class DataKey:
    """One participant's unwrapped key, in memory only."""

    def __init__(self, data_key_id: str, key: bytes) -> None:
        self.id = data_key_id
        self._aead = AESGCM(key)

    def __repr__(self) -> str:
        return f"DataKey(id={self.id!r})"

    def seal_turn(self, session_id: str, seq: int, tag_before: bytes, plain: bytes) -> bytes:
        """Seal turn number ``seq`` (from 1), chained to the previous turn's tag."""
        aad = self._turn_aad(session_id, seq, tag_before)
        return seal(self._aead, SCHEMA_VERSION, plain, aad)

    def open_turn(self, session_id: str, seq: int, tag_before: bytes, sealed: bytes) -> bytes:
        """Open what ``seal_turn`` made.

        Raises:
            SealBroken: it was changed, moved, swapped or replayed, or the key is wrong.
            UnknownSchema: a newer version of this library sealed it.
        """
        aad = self._turn_aad(session_id, seq, tag_before)
        try:
            return open_sealed(self._aead, SCHEMA_VERSION, sealed, aad)
        except InvalidTag:
            raise SealBroken(f"turn {seq}", session_id) from None

    def seal_draft(self, session_id: str, role: str, number: int, plain: bytes) -> bytes:
        """Seal the words of ``role`` as draft ``number`` (from 1) of the session."""
        return seal(self._aead, SCHEMA_VERSION, plain, self._draft_aad(session_id, role, number))

    def open_draft(self, session_id: str, role: str, number: int, sealed: bytes) -> bytes:
        """Open what ``seal_draft`` made.

        Raises:
            SealBroken, UnknownSchema: as for ``open_turn``.
        """
        aad = self._draft_aad(session_id, role, number)
        try:
            return open_sealed(self._aead, SCHEMA_VERSION, sealed, aad)
        except InvalidTag:
            raise SealBroken(f"draft {number}", session_id) from None

    def seal_content(self, session_id: str, version: int, plain: bytes) -> bytes:
        """Seal a session's content as its ``version`` (from 1)."""
        aad = self._content_aad(session_id, version)
        return seal(self._aead, SCHEMA_VERSION, plain, aad)

    def open_content(self, session_id: str, version: int, sealed: bytes) -> bytes:
        """Open what ``seal_content`` made.

        Raises:
            SealBroken, UnknownSchema: as for ``open_turn``.
        """
        aad = self._content_aad(session_id, version)
        try:
            return open_sealed(self._aead, SCHEMA_VERSION, sealed, aad)
        except InvalidTag:
            raise SealBroken(f"content version {version}", session_id) from None

    def seal_work(self, session_id: str, seq: int, plain: bytes) -> bytes:
        """Seal what the program works on, as it was when turn ``seq`` was recorded."""
        return seal(self._aead, SCHEMA_VERSION, plain, self._work_aad(session_id, seq))

    def open_work(self, session_id: str, seq: int, sealed: bytes) -> bytes:
        """Open what ``seal_work`` made.

        Raises:
            SealBroken, UnknownSchema: as for ``open_turn``.
        """
        try:
            return open_sealed(self._aead, SCHEMA_VERSION, sealed, self._work_aad(session_id, seq))
        except InvalidTag:
            raise SealBroken(f"the work of turn {seq}", session_id) from None

    def _turn_aad(self, session_id: str, seq: int, tag_before: bytes) -> bytes:
        place = f"t|{self.id}|{session_id}|".encode()
        return place + seq.to_bytes(8) + tag_before

    def _draft_aad(self, session_id: str, role: str, number: int) -> bytes:
        return f"d|{self.id}|{session_id}|{role}|".encode() + number.to_bytes(8)

    def _content_aad(self, session_id: str, version: int) -> bytes:
        return f"c|{self.id}|{session_id}|".encode() + version.to_bytes(8)

    def _work_aad(self, session_id: str, seq: int) -> bytes:
        return f"w|{self.id}|{session_id}|".encode() + seq.to_bytes(8)


def tag_of(sealed: bytes) -> bytes:
    """Return the authentication tag of a sealed record: its last 16 bytes."""
    return sealed[-TAG_BYTES:]


def seal(aead: AESGCM, version: int, plain: bytes, aad: bytes) -> bytes:
    """Seal a text as this version, bound to the associated data."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    label = bytes((version,))
    return label + nonce + aead.encrypt(nonce, plain, _DOMAIN + label + aad)


def open_sealed(aead: AESGCM, newest: int, sealed: bytes, aad: bytes) -> bytes:
    """Open a record of any version from 1 to ``newest``.

    Raises:
        InvalidTag: the seal is broken.
        UnknownSchema: the version is a later one.
    """
    if len(sealed) < 1 + NONCE_BYTES + TAG_BYTES or sealed[0] == 0:
        raise InvalidTag
    if sealed[0] > newest and not _is_relabelled(aead, newest, sealed, aad):
        raise UnknownSchema(sealed[0])
    return _decrypt(aead, sealed[:1], sealed, aad)


def _decrypt(aead: AESGCM, label: bytes, sealed: bytes, aad: bytes) -> bytes:
    nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    return aead.decrypt(nonce, text, _DOMAIN + label + aad)


def _is_relabelled(aead: AESGCM, newest: int, sealed: bytes, aad: bytes) -> bool:
    """Return whether only the version byte was changed: the record opens as an older version."""
    for version in range(1, newest + 1):
        with suppress(InvalidTag):
            _decrypt(aead, bytes((version,)), sealed, aad)
            return True
    return False
