"""Keys and seals."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from session_store import Keyring, KeyringMissing, SealBroken, StoreSettings, UnknownKey
from session_store.sealing.data_key import NO_TAG, tag_of

if TYPE_CHECKING:
    from pathlib import Path


def keyring(*ids: str, primary: str | None = None) -> Keyring:
    """Make a keyring with random keys of these ids."""
    return Keyring(
        {key_id: secrets.token_bytes(32) for key_id in ids},
        primary=primary or ids[0],
        pseudonym_key=secrets.token_bytes(32),
    )


def test_a_turn_opens_only_in_its_place() -> None:
    """Another number, another session, or another turn before it breaks the seal."""
    ring = keyring("a")
    key = ring.unwrap("p", ring.new_data_key("p"))
    sealed = key.seal_turn("session", 2, NO_TAG, b"words")
    assert key.open_turn("session", 2, NO_TAG, sealed) == b"words"
    for session, seq, before in (
        ("session", 3, NO_TAG),
        ("noisses", 2, NO_TAG),
        ("session", 2, tag_of(sealed)),
    ):
        with pytest.raises(SealBroken):
            key.open_turn(session, seq, before, sealed)


def test_a_draft_opens_only_in_its_place() -> None:
    """Another number, role or session breaks the seal, and a turn is no draft."""
    ring = keyring("a")
    key = ring.unwrap("p", ring.new_data_key("p"))
    sealed = key.seal_draft("session", "user", 2, b"words")
    assert key.open_draft("session", "user", 2, sealed) == b"words"
    for session, role, number in (
        ("session", "user", 3),
        ("session", "assistant", 2),
        ("noisses", "user", 2),
    ):
        with pytest.raises(SealBroken):
            key.open_draft(session, role, number, sealed)
    with pytest.raises(SealBroken):
        key.open_turn("session", 2, NO_TAG, sealed)
    with pytest.raises(SealBroken):
        key.open_draft("session", "user", 2, key.seal_turn("session", 2, NO_TAG, b"words"))


def test_a_job_is_named_by_its_worker_too() -> None:
    """Under the same key the same nonce, for no other job, and unknown without the key."""
    ring, other = keyring("a"), keyring("a")
    nonce = ring.owner_of("worker", "job")
    assert (len(nonce), int(nonce, 16) > 0) == (32, True)
    assert nonce == ring.owner_of("worker", "job")
    others = [("worke", "rjob"), ("worker", "job2"), ("", "workerjob"), ("workerjob", "")]
    names = {nonce, other.owner_of("worker", "job"), *(ring.owner_of(*each) for each in others)}
    assert len(names) == 2 + len(others)


def test_a_seal_adds_29_bytes() -> None:
    """Schema, nonce and tag are all that a sealed turn has beyond its text."""
    ring = keyring("a")
    key = ring.unwrap("p", ring.new_data_key("p"))
    assert len(key.seal_turn("session", 1, NO_TAG, bytes(200))) == 229


@pytest.mark.parametrize("position", [0, 1, 13, 20, -1])
def test_a_flipped_bit_breaks_the_seal(position: int) -> None:
    """No byte of a sealed record can change: schema, nonce, text or tag."""
    ring = keyring("a")
    key = ring.unwrap("p", ring.new_data_key("p"))
    sealed = bytearray(key.seal_content("session", 1, b"some content here"))
    sealed[position] ^= 0x80
    with pytest.raises(SealBroken):
        key.open_content("session", 1, bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 12, 28])
def test_a_record_cut_short_breaks_the_seal(length: int) -> None:
    """Even an empty record is no empty text."""
    ring = keyring("a")
    key = ring.unwrap("p", ring.new_data_key("p"))
    with pytest.raises(SealBroken):
        key.open_turn("session", 1, NO_TAG, key.seal_turn("session", 1, NO_TAG, b"")[:length])


def test_a_data_key_belongs_to_one_participant() -> None:
    """A wrapped key that was moved to another participant does not open."""
    ring = keyring("a")
    with pytest.raises(SealBroken):
        ring.unwrap("somebody", ring.new_data_key("p"))


def test_the_primary_key_is_named_and_others_still_open() -> None:
    """The order of the keys says nothing; a key that wrapped once can be primary no more."""
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    pseudonym_key = secrets.token_bytes(32)
    before = Keyring({"old": old, "new": new}, primary="old", pseudonym_key=pseudonym_key)
    after = Keyring({"old": old, "new": new}, primary="new", pseudonym_key=pseudonym_key)
    wrapped = before.new_data_key("p")
    assert wrapped.kek_id == "old"
    assert after.unwrap("p", wrapped).id == wrapped.data_key_id
    assert after.new_data_key("p").kek_id == "new"


def test_an_unknown_key_is_named() -> None:
    """A record wrapped by a key that was removed says which one to put back."""
    with pytest.raises(UnknownKey, match="'a' is not in the keyring"):
        keyring("b").unwrap("p", keyring("a").new_data_key("p"))


def test_pseudonyms_depend_on_the_key() -> None:
    """The same identity has another pseudonym elsewhere, and always the same one here."""
    one, other = keyring("a"), keyring("a")
    assert one.pseudonym("maria") == one.pseudonym("maria")
    assert one.pseudonym("maria") != one.pseudonym("Maria")
    assert one.pseudonym("maria") != other.pseudonym("maria")
    assert len(one.pseudonym("maria")) == 26


def encoded(length: int = 32) -> str:
    """Make a random key of so many bytes, in base64."""
    return base64.b64encode(secrets.token_bytes(length)).decode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        (json.dumps({"keys": {"a": "%"}, "primary": "a", "pseudonym_key": ""}), "not base64"),
        (
            json.dumps({"keys": {"a": encoded(31)}, "primary": "a", "pseudonym_key": encoded()}),
            "it must have 32",
        ),
        (
            json.dumps({"keys": {"a": encoded()}, "primary": "b", "pseudonym_key": encoded()}),
            "'b' is not among the keys",
        ),
        (
            json.dumps({"keys": {"a": encoded()}, "primary": "a", "pseudonym_key": encoded(16)}),
            "must have 32 bytes",
        ),
        (
            json.dumps({"keys": {"a|": encoded()}, "primary": "a|", "pseudonym_key": encoded()}),
            "letters, digits",
        ),
    ],
)
def test_a_bad_key_file_says_what_is_wrong(tmp_path: Path, text: str | None, reason: str) -> None:
    """A missing or malformed key file is an error that never shows a key."""
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(KeyringMissing, match=reason):
        Keyring.from_file(path)


def test_keys_may_come_from_three_settings() -> None:
    """Without a file, the keys, the primary's name and the pseudonym key are set one by one."""
    settings = StoreSettings.model_validate(
        {
            "encryption_keys": f"a:{encoded()}, b:{encoded()}",
            "primary_key": "b",
            "pseudonym_key": encoded(),
        }
    )
    ring = Keyring.from_settings(settings)
    assert (ring.ids, ring.primary) == (("a", "b"), "b")


def test_keys_show_nothing_when_printed() -> None:
    """Neither the settings nor the keyring nor a data key print key material."""
    secret = encoded()
    settings = StoreSettings.model_validate(
        {"encryption_keys": f"a:{secret}", "primary_key": "a", "pseudonym_key": secret}
    )
    ring = Keyring.from_settings(settings)
    wrapped = ring.new_data_key("p")
    printed = f"{settings!r} {settings} {ring!r} {ring.unwrap('p', wrapped)!r}"
    assert secret not in printed
