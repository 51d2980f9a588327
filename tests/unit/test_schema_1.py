"""Records of schema version 1, frozen: they open for ever."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from session_store import Keyring, SealBroken, SessionContent, Turn, WrongKey
from session_store.errors import UnknownSchema
from session_store.models import SCHEMA_VERSION, SessionContext, TurnKind, Witness
from session_store.sealing import data_key as seals
from session_store.sealing import schema
from session_store.sealing.data_key import NO_TAG, DataKey, WrappedKey, tag_of

if TYPE_CHECKING:
    from pydantic import JsonValue

# Made once, by the code that wrote version 1, and never made anew: a change of one of these
# changes what lies in a user's Redis.
PARTICIPANT = "latxzhijiz3wwurugz4myx5hlm"
SESSION = "aebagbafaydqqcikbmga2dqpca"
WRAPPED = WrappedKey(
    data_key_id="f05efae2569763851d5da69f6cda6a4b",
    kek_id="2026-01",
    wrapped=bytes.fromhex(
        "01c8bfd06700d911f9c8c3bfad04117d8ab6a1e6486cee5bca01175319ea532c8e22f0f5c3b22db90989"
        "21d6a0748ca6e9c4e6a07add0e0d1ca6fe3bd8"
    ),
)
TURNS = (
    bytes.fromhex(
        "018a1d56a5699c824a587a988bc8bc63c034a7a9c0ff087ecf2ed126cc5ef206066220235c44679b01cb"
        "38a1cca7ff85776ec081ab9acbbe3c48e66cc9e7833e82af48af26d5018973fcf935b0beaa661624ea77"
        "9087cc517b965318206404834ea0a7e1fd6fd3521f572113970ce5da730015044ed8ac"
    ),
    bytes.fromhex(
        "0117749b4052ab728ed0a656b4f9b9a8955a8ca26d540b30af6c16071deec46518def2256088a4f0c9b0"
        "08ed3a8c0e3a25f23f7ea041ccdb5480100d6f87055b77d0e8791a2bb107ed41885f4a19877991226fee"
        "92851126b4c7de7203d3b7d16f51466c90438daebbeda1b7f4c3bb1a39ebaf19de810c5f62339ee3485c"
        "209a7b19f3cfc3fbf6fad5acd1c4fb7e571d47dab4922e37c5702d33f0c6a8357f4a5d5a362af3"
    ),
    bytes.fromhex(
        "0105d04c3f0a8c7e0c225d828eb015c6271e99be0b1ed8001231258fd797ccd85d2e47c953e74f8dda28"
        "1c6cf5050fa92f3e02ecac5c32c23ec07bc9b74c45838ab4942c29bd09963de938efbd962a166218f3da"
        "7db8b8573ec5b259a2477dff38e75783224151b9714035a93d6e2d653501f403ca931121ec4a6e5616fc"
        "9b"
    ),
)
CONTENT_VERSION = 7
CONTENT = bytes.fromhex(
    "01a6f830691cf1c1a2ca5c1f530ec00a2086ded25a9a86856119432e6e364d929600dd527bb246642451"
    "d54455cd92c081a6a2f65c70a2fadfb9d7e3de7dbf8a91673ffad659bbc06d81518c4739ccbfe7681d1b"
    "965e2aeff330f7bc71d0e5d193876359b6d11929c720e95837fe38412987d00c602b76cf318d61775a34"
    "820df77385a4a98b5499bdefeacf183e2603d5b4c953066321ff6b8f9e426ceb8d919e47a4bbd684dbc4"
    "eccb09cfd9b326cbd99677e72385eb8ff551e0d2a5d152cbc63b0a9005de605c0b2639fc6b4c4a21c164"
    "0a194f4da4344c296ea1e0e0a7c54e75e97bb9fdf660c2d8a5ad9ce561ce9123c733f3afc7b1158ceb3b"
    "901563e84ec927f48b6360c4293f980100f8bb3b6afbf25876ec01b705f789063b8fc4510d9230b8e73b"
    "c1e114281e9b0e8c3660870d54d84b87b9e6a7c6"
)
CHECKS = {
    "pseudonym": bytes.fromhex("134fe39d0bdd97dab0dfe9c787e6bc92"),
    "kek:2026-01": bytes.fromhex(
        "01aeef89174a9e6dc339089612af64921a727be95f2e4bcdd215ea4a617bf78d405c10"
    ),
    "kek:2026-02": bytes.fromhex(
        "013032ada3cbca8b35412f5ce12e886b572a621603183bd7ac5b3e9aa0ba08ad4eb45a"
    ),
}


def frozen_key(name: str) -> bytes:
    """Derive one of the keys that these records were made with."""
    return hashlib.sha256(name.encode()).digest()


def keyring(primary: str = "2026-01") -> Keyring:
    """Return the keyring that these records were made with."""
    return Keyring(
        {"2026-01": frozen_key("kek 2026-01"), "2026-02": frozen_key("kek 2026-02")},
        primary=primary,
        pseudonym_key=frozen_key("pseudonym"),
    )


def data_key() -> DataKey:
    """Unwrap the frozen data key."""
    return keyring().unwrap(PARTICIPANT, WRAPPED)


def opened_turns(key: DataKey) -> list[Turn]:
    """Open the frozen chain of turns, as the store does."""
    turns, tag = [], NO_TAG
    for seq, sealed in enumerate(TURNS, 1):
        turns.append(schema.read_turn(sealed[0], key.open_turn(SESSION, seq, tag, sealed)))
        tag = tag_of(sealed)
    return turns


SAID = [
    Turn(id="turn-1", role="user", text="Mi nombre es María 🌸", created_at=1_700_000_000.25),
    Turn(
        id="call-1",
        kind=TurnKind.TOOL_CALL,
        created_at=1_700_000_001.5,
        details={"name": "remember", "arguments": '{"fact":"x"}', "call_id": "c1"},
    ),
    Turn(
        id="turn-2",
        role="assistant",
        text="Hola, Ma",
        interrupted=True,
        created_at=1_700_000_002.75,
    ),
]


def test_turns_of_version_1_open() -> None:
    """A chain of turns of version 1 opens, and every field is what it was."""
    assert opened_turns(data_key()) == SAID


def test_a_content_of_version_1_opens() -> None:
    """A content of version 1 opens, and its witness is the tag of the last frozen turn."""
    plain = data_key().open_content(SESSION, CONTENT_VERSION, CONTENT)
    assert schema.read_content(CONTENT[0], plain) == SessionContent(
        identity="maria@example.com",
        language="es",
        metadata={"plan": "b", "n": [1, 2.5, None]},
        context=SessionContext(
            last_query="Mi nombre", last_response="Hola", preferences={"voice": "slow"}
        ),
        title="Saludos",
        summary="Se presentó.",
        witness=Witness(seq=3, tag=tag_of(TURNS[-1]).hex()),
    )


def test_names_of_version_1_stay() -> None:
    """The same identity keeps its pseudonym, and the same page load its fingerprint."""
    assert keyring().pseudonym("maria@example.com") == PARTICIPANT
    assert keyring().fingerprint("load", "page-1") == "eBk7g0LH7OvOiGlFLBZ1AA"


def test_macs_of_version_1_stay() -> None:
    """Audit entries and journal lines that were authenticated once are so for ever."""
    assert keyring().audit_mac(b"entry").hex() == (
        "eed598788c0cbd15f811f50ff92bf1b29e5e6772e3853f7279e6d9bfe6c50a00"
    )
    assert keyring().journal_mac(b"line").hex() == (
        "ca0902acc102ef6e5ec51deaee3f070220e9ca2cc6e2099cc49ca07d762f1dbe"
    )


def test_key_checks_of_version_1_are_accepted() -> None:
    """A Redis that version 1 wrote is opened with its keys, and refused with others."""
    keyring().verify_check_values(CHECKS)
    other = Keyring(
        {"2026-01": frozen_key("another")},
        primary="2026-01",
        pseudonym_key=frozen_key("pseudonym"),
    )
    with pytest.raises(WrongKey, match="'2026-01' is not the one"):
        other.verify_check_values(CHECKS)


def test_every_version_has_a_reader() -> None:
    """Each version up to today's is read, and there is none that nothing writes."""
    assert sorted(schema.READERS) == list(range(1, SCHEMA_VERSION + 1))


def test_a_newer_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer library sealed is no broken seal: the error names its version."""
    with monkeypatch.context() as later:
        later.setattr(seals, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        later.setattr("session_store.sealing.keyring.KEY_VERSION", 2)
        newer = data_key().seal_turn(SESSION, 1, NO_TAG, b"{}")
        wrapped = keyring().rewrap(PARTICIPANT, WRAPPED)
    with pytest.raises(UnknownSchema, match=f"version {SCHEMA_VERSION + 1}"):
        data_key().open_turn(SESSION, 1, NO_TAG, newer)
    with pytest.raises(UnknownSchema, match="version 2"):
        keyring().unwrap(PARTICIPANT, wrapped)


@pytest.mark.parametrize("label", [0, 2, 3, 129, 255])
def test_a_record_cannot_be_relabelled(label: int) -> None:
    """A version 1 record with a changed first byte is broken, not "too new"."""
    with pytest.raises(SealBroken):
        data_key().open_turn(SESSION, 1, NO_TAG, bytes([label]) + TURNS[0][1:])


def test_an_older_label_does_not_open_a_newer_record() -> None:
    """The version is part of what is authenticated, in both directions."""
    sealed = data_key().seal_turn(SESSION, 1, NO_TAG, b"{}")
    with pytest.raises(SealBroken):
        data_key().open_turn(SESSION, 1, NO_TAG, b"\1" + sealed[1:])


@pytest.mark.parametrize("plain", [b"", b"[]", b"{", b'{"id": "x"}', b'{"id": 1, "no": NaN}'])
def test_a_text_of_another_shape_is_no_turn(plain: bytes) -> None:
    """What opens but is no turn is a ValueError, which the store takes for a broken seal."""
    with pytest.raises(ValueError, match=r".+"):
        schema.read_turn(1, plain)


@pytest.mark.parametrize("depth", [1, 200, 250])
def test_what_version_1_could_write_it_can_read(depth: int) -> None:
    """Numbers of any size, and objects in objects, are read back from JSON, deep ones too."""
    deep: JsonValue = {"large": 10**400, "small": -0.0}
    for _ in range(depth - 1):
        deep = {"a": deep}
    turn = Turn(id="n", created_at=1.5, details={"a": deep})
    content = SessionContent(metadata={"a": deep})
    for reader in schema.READERS.values():
        plain = content.model_dump_json(exclude_defaults=True).encode()
        assert repr(reader.content(plain)) == repr(content)
    plain = turn.model_dump_json(exclude_defaults=True).encode()
    assert repr(schema.read_turn(1, plain)) == repr(turn)


@pytest.mark.parametrize("text", ['{"id": "x", "created_at": 1, "details": %s}', "%s"])
def test_a_text_that_nests_without_end_is_no_turn(text: str) -> None:
    """What no turn could hold is a ValueError too, and no other."""
    deep = text % ('{"a":' * 20_000 + "1" + "}" * 20_000)
    with pytest.raises(ValueError, match=r".+"):
        schema.read_turn(1, deep.encode())
