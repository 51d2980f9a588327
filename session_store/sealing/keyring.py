"""The keyring: key-encryption keys, and the key that makes pseudonyms and other names.

A participant's data key is stored wrapped with the primary key of the keyring.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import re
import secrets
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from session_store.errors import KeyringMissing, SealBroken, UnknownKey, WrongKey
from session_store.keys import PSEUDONYM_BYTES
from session_store.redis_address import Kind
from session_store.sealing.data_key import TAG_BYTES, DataKey, WrappedKey, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from session_store.settings import StoreSettings

logger = logging.getLogger(__name__)

KEY_BYTES: Final = 32
KEY_VERSION: Final = 1
"""Version of wrapped keys and key checks. Their content does not depend on the schema."""

_KEY_ID: Final = re.compile(r"[A-Za-z0-9-]{1,32}")
_ID_RANDOM_BYTES: Final = 10
_ID_MAC_BYTES: Final = 6


class Keyring:
    """Key-encryption keys by id, one of them named primary, and the pseudonym key."""

    def __init__(self, keys: Mapping[str, bytes], *, primary: str, pseudonym_key: bytes) -> None:
        # First, and without a quotation: a key may stand where an id should be.
        if not all(_KEY_ID.fullmatch(key_id) for key_id in [primary, *keys]):
            raise KeyringMissing(
                "an id of a key consists of 1 to 32 letters, digits and '-', as in 'k-1'; the "
                "primary key is named by its id"
            )
        if primary not in keys:
            raise KeyringMissing(f"the primary key {primary!r} is not among the keys")
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES:
                raise KeyringMissing(f"key {key_id!r} has {len(key)} bytes; it must have 32")
        if len(pseudonym_key) != KEY_BYTES:
            raise KeyringMissing("the pseudonym key must have 32 bytes")
        self.primary: Final = primary
        self._keks = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._pseudonym_key = pseudonym_key
        self._audit_key = _derive(pseudonym_key, b"audit")
        self._journal_key = _derive(pseudonym_key, b"journal")

    def __repr__(self) -> str:
        return f"Keyring(ids={sorted(self._keks)}, primary={self.primary!r})"

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Read the keys from ``key_file``, or else from the three separate settings.

        Raises:
            KeyringMissing: there are none, or they are malformed. It names the setting to change.
        """
        if settings.key_file is not None:
            return cls.from_file(settings.key_file)
        if (
            settings.encryption_keys is None
            or settings.primary_key is None
            or settings.pseudonym_key is None
        ):
            raise KeyringMissing(
                "no encryption key is set: set REJOIN_KEY_FILE to the file that "
                "'session-store keys new FILE' makes, or set REJOIN_ENCRYPTION_KEYS, "
                "REJOIN_PRIMARY_KEY and REJOIN_PSEUDONYM_KEY"
            )
        pairs = [
            pair.partition(":") for pair in settings.encryption_keys.get_secret_value().split(",")
        ]
        return cls(
            {
                key_id.strip(): _decode_key(value, "REJOIN_ENCRYPTION_KEYS")
                for key_id, _, value in pairs
            },
            primary=settings.primary_key,
            pseudonym_key=_decode_key(
                settings.pseudonym_key.get_secret_value(), "REJOIN_PSEUDONYM_KEY"
            ),
        )

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read ``{"keys": {id: base64}, "primary": id, "pseudonym_key": base64}``.

        Raises:
            KeyringMissing: the file cannot be read, or is malformed. It is never quoted.
        """
        try:
            held = json.loads(path.read_bytes())
            keys = {
                str(key_id): _decode_key(value, str(path)) for key_id, value in held["keys"].items()
            }
            pseudonym_key = _decode_key(held["pseudonym_key"], str(path))
            primary = str(held["primary"])
        except OSError as error:
            raise KeyringMissing(
                f"the key file {path} cannot be read ({error.strerror}); "
                "put it back, or point REJOIN_KEY_FILE to it; if there never was one, "
                "'session-store keys new' makes it"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyringMissing(
                f"the key file {path} is malformed; it must be JSON with "
                "'keys', 'primary' and 'pseudonym_key'"
            ) from None
        return cls(keys, primary=primary, pseudonym_key=pseudonym_key)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all key-encryption keys."""
        return tuple(self._keks)

    def pseudonym(self, identity: str) -> str:
        """Derive an identity's name in Redis and LiveKit: 26 characters of base32.

        HMAC-SHA-256, cut to 128 bits: without the key it cannot be reversed or guessed.
        """
        digest = self._mac(b"identity", identity.encode())[:PSEUDONYM_BYTES]
        return base64.b32encode(digest).decode().rstrip("=").lower()

    def new_session_id(self, participant: str) -> str:
        """Make a session id: 80 random bits and 48 of a MAC, as 26 characters of base32.

        The MAC binds the id to its participant. The LiveKit room has the same name, so that a
        copied id would let another participant into the room.
        """
        return self._session_id(participant, secrets.token_bytes(_ID_RANDOM_BYTES))

    def owns(self, participant: str, session_id: str) -> bool:
        """Return whether a session id was made for this participant."""
        try:
            random = base64.b32decode(session_id.upper() + "======")[:_ID_RANDOM_BYTES]
        except ValueError:
            return False
        return hmac.compare_digest(session_id, self._session_id(participant, random))

    def _session_id(self, participant: str, random: bytes) -> str:
        mac = self._mac(b"session", participant.encode() + random)[:_ID_MAC_BYTES]
        return base64.b32encode(random + mac).decode().rstrip("=").lower()

    def fingerprint(self, kind: str, value: str) -> str:
        """Derive a short name of a value, for comparison only: 22 characters."""
        digest = self._mac(kind.encode(), value.encode())[:PSEUDONYM_BYTES]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def owner_of(self, worker_id: str, job_id: str) -> str:
        """Derive the nonce under which a job holds leases: 32 hex digits.

        Without the key it cannot be guessed, so that only our processes can hold or break a lease.
        """
        job = f"{len(worker_id)}:{worker_id}{job_id}".encode()
        return self._mac(b"owner", job)[:PSEUDONYM_BYTES].hex()

    def new_data_key(self, participant: str) -> WrappedKey:
        """Make a data key, wrapped with the primary key for this participant alone."""
        return self._wrap(participant, secrets.token_hex(16), secrets.token_bytes(KEY_BYTES))

    def unwrap(self, participant: str, wrapped: WrappedKey) -> DataKey:
        """Open a wrapped data key.

        Raises:
            UnknownKey: the key that wrapped it is not in the keyring.
            SealBroken: it was changed, or belongs to another participant.
        """
        return DataKey(wrapped.data_key_id, self._unwrapped(participant, wrapped))

    def rewrap(self, participant: str, wrapped: WrappedKey) -> WrappedKey:
        """Wrap the same data key with the primary key; its sealed records still open.

        Raises:
            UnknownKey, SealBroken: as for ``unwrap``.
        """
        return self._wrap(participant, wrapped.data_key_id, self._unwrapped(participant, wrapped))

    def audit_mac(self, data: bytes) -> bytes:
        """Authenticate an entry of the audit stream: HMAC-SHA-256, 32 bytes."""
        return hmac.digest(self._audit_key, data, hashlib.sha256)

    def journal_mac(self, data: bytes) -> bytes:
        """Authenticate a line of the erasure journal: HMAC-SHA-256, 32 bytes."""
        return hmac.digest(self._journal_key, data, hashlib.sha256)

    def check_values(self) -> dict[str, bytes]:
        """Make the values that ``verify_check_values`` compares, one per key."""
        checks = {"pseudonym": self._mac(b"check", b"pseudonym")[:TAG_BYTES]}
        for key_id, kek in self._keks.items():
            checks[f"kek:{key_id}"] = seal(kek, KEY_VERSION, b"rejoin", _check_aad(key_id))
        return checks

    def verify_check_values(self, stored: Mapping[str, bytes]) -> None:
        """Compare the keyring with the values that an earlier process left.

        Values of keys that are not in the keyring are skipped: those keys were rotated out.

        Raises:
            WrongKey: a key differs. With a wrong key no participant would be found.
        """
        pseudonym = stored.get("pseudonym")
        mine = self._mac(b"check", b"pseudonym")[:TAG_BYTES]
        if pseudonym is not None and not hmac.compare_digest(pseudonym, mine):
            raise WrongKey(
                "the pseudonym key is not the one that this Redis was written with; "
                "put the earlier key back, or use an empty Redis"
            )
        for key_id, kek in self._keks.items():
            check = stored.get(f"kek:{key_id}")
            if check is None:
                continue
            try:
                open_sealed(kek, KEY_VERSION, check, _check_aad(key_id))
            except InvalidTag:
                raise WrongKey(
                    f"key {key_id!r} is not the one that this Redis was written with; "
                    "put the earlier key back, or give the new one another id"
                ) from None

    def _wrap(self, participant: str, data_key_id: str, key: bytes) -> WrappedKey:
        aad = _wrap_aad(participant, data_key_id, self.primary)
        wrapped = seal(self._keks[self.primary], KEY_VERSION, key, aad)
        return WrappedKey(data_key_id, self.primary, wrapped)

    def _unwrapped(self, participant: str, wrapped: WrappedKey) -> bytes:
        kek = self._keks.get(wrapped.kek_id)
        if kek is None:
            raise UnknownKey(wrapped.kek_id)
        aad = _wrap_aad(participant, wrapped.data_key_id, wrapped.kek_id)
        try:
            return open_sealed(kek, KEY_VERSION, wrapped.wrapped, aad)
        except InvalidTag:
            raise SealBroken("a data key") from None

    def _mac(self, kind: bytes, value: bytes) -> bytes:
        return hmac.digest(self._pseudonym_key, kind + b"\0" + value, hashlib.sha256)


def keyring_of(settings: StoreSettings) -> Keyring:
    """Return the keyring for a store; without keys, one of this process for a store in memory.

    Raises:
        KeyringMissing: as ``Keyring.from_settings``.
    """
    keys = (settings.key_file, settings.encryption_keys, settings.primary_key)
    if settings.redis_address.kind is Kind.MEMORY and not any([*keys, settings.pseudonym_key]):
        return _keyring_of_this_process()
    return Keyring.from_settings(settings)


@cache
def _keyring_of_this_process() -> Keyring:
    logger.info("no encryption key is set: what is kept in memory gets a key of this process")
    key_id = "this-process"
    return Keyring(
        {key_id: secrets.token_bytes(KEY_BYTES)},
        primary=key_id,
        pseudonym_key=secrets.token_bytes(KEY_BYTES),
    )


def _derive(key: bytes, purpose: bytes) -> bytes:
    """Derive a key for one purpose (RFC 5869, its second step; the key is random already)."""
    return HKDFExpand(SHA256(), KEY_BYTES, b"rejoin " + purpose).derive(key)


def _wrap_aad(participant: str, data_key_id: str, kek_id: str) -> bytes:
    return f"k|{participant}|{data_key_id}|{kek_id}".encode()


def _check_aad(key_id: str) -> bytes:
    return f"check|{key_id}".encode()


def _decode_key(value: str, where: str) -> bytes:
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise KeyringMissing(f"a key in {where} is not base64; it must be 32 bytes") from None
