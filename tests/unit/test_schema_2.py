"""Records of schema version 2, frozen: they open for ever, and in one chain with version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_store import (
    SealBroken,
    SessionContent,
    SessionStore,
    StoreSettings,
    Turn,
)
from session_store.backends.memory.backend import MemoryBackend
from session_store.models import SCHEMA_VERSION, TurnKind, Witness
from session_store.sealing import data_key as seals
from session_store.sealing import schema
from session_store.sealing.data_key import NO_TAG, tag_of
from session_store.sealing.turn_codec import encode_turn
from session_store.values import Lease, SealedTurn
from tests.unit import test_schema_1 as version_1
from tests.unit.test_schema_1 import PARTICIPANT, SESSION, data_key, keyring

if TYPE_CHECKING:
    from collections.abc import Sequence

# Made once, by the code that wrote version 2, and never made anew: a change of one of these
# changes what lies in a user's Redis. The keys are those of version 1, and so are the three
# turns that these follow in the record.
TURNS = (
    bytes.fromhex(
        "02a8993a25a355069ad00c500c884336784649c85aa3786695c32887b0c06db3246530d337712a24045e"
        "21753e1b435db2e5e171e30bf94d6b633a6a80e47c196611"
    ),
    bytes.fromhex(
        "0259b1c076797e76b8b3b95d39434629ef75a80e776aa7d668e80c66e1a32a30a3dc585d40680c67626b"
        "67a48ed5d2607de3f99e53fec7bd2cf5de38c27074358cb64964abcb1b3c859c1eddcadcaf8b1e08a953"
        "419b2ea5265172fd69ad3f5341c955ff93614f461e76ada117249e0e94f246f3c31595b02ffd6f765454"
        "82bab46dde"
    ),
    bytes.fromhex(
        "027dbe5683ed5c498b773c7b70aa649faefdafcf899ddde661982d6c022cde2812399ac0964331563bff"
        "7c8924ace95fccbf9fd84b7f97fa914c588a7478fa5e1343239bed69c16fdefe4feb3a7ee6ecb6503f07"
        "46ec437301dbb0ed6e7ad2bed5bd"
    ),
    bytes.fromhex(
        "022050b50e5c9698d18d4bf4601e0b2714e19860f50375885d880afde5b2ac2a28b048ccf22bf620bdcc"
        "9bc1bd64a39ba2e24776478350313c65ef6a0a3db917b37c3b2e41f92c402318e3c3083fc8cdf89eaa8a"
        "ff71905cd5769ee909aee870c59655a39728f9f45e028b3136277abb3b8660f50d5037046de90a334b10"
        "bba66ddb82cfbfbc359948c4d59924f7f197bc692152b296695b658e7cd86e808d0079700707a14b3de4"
        "404818086c367bfe93f9f48a96a41841479ed28808203a6a15b988f50a9e517f0e73f4f469009b9d171f"
        "46905da4666b17fc760a4ae5c6b4f223d032110198350cf8a46708fcee4725da2c422ba32452aedbaea0"
        "20ecfb1c1a94c0d1377bbca2bd0860006b4adfc14ae6189a7ede9f7243732122b476f3b7d55d5fbd3975"
        "8d5a8eee1bc81d284c9958cb22ec328c0ed28ddcd8abc3218babcb"
    ),
    bytes.fromhex(
        "02118767465342a8147fff33bf499b69d8c23124b0eff8e06020ccaacf7e3c745af936779a4bd113bfae"
        "abee24e89697ead87c1fc69ca14fb0613a4b1b1ec3747f0da10cc1c6cf6434fe764089ff598fec76915b"
        "b95725df75ccf443"
    ),
)
CONTENT = bytes.fromhex(
    "0203aacc993161978dca3267fb1ffc6f300fac608202476c6199d8ef97ebec1646135230783d6eeffcea"
    "606c4cee80acaeb0fa8c2020771a8a102b993d9ecfe8393b62fa4455f9fe8a4564a7b32c0999a9ae5775"
    "293b30a5786b720b65c21c8cd1a3d40002c5532b889670ea1947c0327a12c4633824a33d927855a68bbe"
    "6cc12d7113cf441275933561d25981aa8b0a76c92e623e88e1f34b8838d57ec27753a1a6dac982be702f"
    "7b73b523fa036edcfe46380ba2268ca0a11d26fb7ed3a7"
)
CONTENT_VERSION = 8

SAID = [
    Turn(
        id="item_0123456789ab",
        role="user",
        text="¿Qué recuerdas? 🌸",
        created_at=1_700_000_003.25,
    ),
    Turn(
        id="item_0123456789ab/fnc_0",
        kind=TurnKind.TOOL_CALL,
        created_at=1_700_000_004.5,
        details={"name": "recall", "arguments": '{"fact":"té"}', "call_id": "c2"},
    ),
    Turn(
        id="c2-output",
        kind=TurnKind.TOOL_OUTPUT,
        created_at=1_700_000_004.75,
        details={"output": "té", "count": 10**20},
    ),
    Turn(
        id="é" * 128,
        kind=TurnKind.HANDOFF,
        created_at=-0.0,
        details={"new_agent_id": "b"},
    ),
    Turn(
        id="item_ba9876543210",
        role="assistant",
        text="Que te gusta el",
        interrupted=True,
        created_at=1_700_000_005.125,
        details={"transcript_confidence": 0.5},
    ),
]


def opened(chain: Sequence[bytes]) -> list[Turn]:
    """Open a chain of turns, as the store does."""
    key, turns, tag = data_key(), [], NO_TAG
    for seq, sealed in enumerate(chain, 1):
        turns.append(schema.read_turn(sealed[0], key.open_turn(SESSION, seq, tag, sealed)))
        tag = tag_of(sealed)
    return turns


def test_turns_of_version_2_open_behind_those_of_version_1() -> None:
    """One chain holds turns of both versions, and every field of each is what it was."""
    turns = opened(version_1.TURNS + TURNS)
    assert turns == version_1.SAID + SAID
    assert repr(turns) == repr(version_1.SAID + SAID)


def test_turns_of_version_2_are_written_as_they_were() -> None:
    """The same turn has the same text today as when these were frozen."""
    key, tag = data_key(), tag_of(version_1.TURNS[-1])
    for seq, (turn, sealed) in enumerate(zip(SAID, TURNS, strict=True), 4):
        assert encode_turn(turn) == key.open_turn(SESSION, seq, tag, sealed)
        tag = tag_of(sealed)


def test_a_content_of_version_2_opens() -> None:
    """A content of version 2 opens, and its witness is the tag of the last frozen turn."""
    plain = data_key().open_content(SESSION, CONTENT_VERSION, CONTENT)
    assert schema.read_content(CONTENT[0], plain) == SessionContent(
        identity="maria@example.com",
        language="es",
        metadata={"n": 10**20},
        title="Té",
        witness=Witness(seq=8, tag=tag_of(TURNS[-1]).hex()),
    )


def test_keys_and_their_checks_keep_version_1() -> None:
    """What a process of version 1 needs to start, and to unwrap a key, is what it knows."""
    assert keyring("2026-02").rewrap(PARTICIPANT, version_1.WRAPPED).wrapped[0] == 1
    checks = keyring().check_values()
    assert [checks[f"kek:{key_id}"][0] for key_id in keyring().ids] == [1, 1]
    assert checks["pseudonym"] == version_1.CHECKS["pseudonym"]
    keyring().verify_check_values(checks)


@pytest.mark.parametrize("label", [0, 1, 3, 130, 255])
def test_a_record_cannot_be_relabelled(label: int) -> None:
    """A version 2 record with a changed first byte is broken, not "too new"."""
    with pytest.raises(SealBroken):
        data_key().open_content(SESSION, CONTENT_VERSION, bytes([label]) + CONTENT[1:])


@pytest.mark.parametrize("schema_version", [1, 2, 3])
def test_a_content_of_another_shape_is_none(schema_version: int) -> None:
    """What opens but is no content is a ValueError, which the store takes for a broken seal."""
    for plain in (b"", b"[]", b"{", b'{"no": 1}', b"\xff"):
        with pytest.raises(ValueError, match=r".+"):
            schema.read_content(schema_version, plain)


def sealed_by_version_1(lease: Lease, turn: Turn) -> SealedTurn:
    """Seal a turn under a lease as a process of version 1 does."""
    plain = turn.model_dump_json(exclude_defaults=True).encode()
    seq, tag_before, key = lease.last_seq + 1, lease.last_tag, lease.data_key
    sealed = seals.seal(key._aead, 1, plain, key._turn_aad(lease.session_id, seq, tag_before))
    lease.last_seq, lease.last_tag = seq, tag_of(sealed)
    return SealedTurn(seq, tag_before, sealed, turn)


async def test_a_session_holds_turns_of_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """While old processes are replaced by new ones, a session is written by both, and read."""
    backend, ring = MemoryBackend.from_settings(StoreSettings()), keyring()
    store = SessionStore(backend, ring)
    who = store.pseudonym("maria@example.com")
    said = [*version_1.SAID, *SAID, *version_1.SAID]
    joined = await store.join(who)
    lease = joined.lease

    await store.append(lease, [sealed_by_version_1(lease, turn) for turn in said[:3]])
    with monkeypatch.context() as earlier:
        earlier.setattr(seals, "SCHEMA_VERSION", 1)
        await store.update(lease, lambda content: content.model_copy(update={"title": "one"}))
    with monkeypatch.context() as earlier:
        earlier.setattr(seals, "SCHEMA_VERSION", 2)
        await store.append(lease, [store.seal(lease, turn) for turn in said[3:8]])
    await store.append(lease, [sealed_by_version_1(lease, turn) for turn in said[8:]])

    held = await backend.load(who, lease.session_id, last=None)
    assert held is not None
    assert [sealed[0] for sealed in held.turns] == [1] * 3 + [2] * 5 + [1] * 3
    assert held.content is not None
    assert held.content[0] == 1
    loaded = await SessionStore(backend, ring).load(who, lease.session_id)
    assert loaded is not None
    assert [each.turn for each in loaded.turns] == said
    assert loaded.session.content.title == "one"

    changed = await store.update(
        lease, lambda content: content.model_copy(update={"summary": "two"})
    )
    assert (changed.title, changed.summary) == ("one", "two")
    held = await backend.load(who, lease.session_id, last=None)
    assert held is not None
    assert held.content is not None
    assert held.content[0] == SCHEMA_VERSION
    await SessionStore(backend, ring).load(who, lease.session_id)


async def test_a_turn_that_could_not_be_read_is_not_written() -> None:
    """A turn that the store takes, it reads: what has no form that opens again is refused."""
    store = SessionStore(MemoryBackend.from_settings(StoreSettings()), keyring())
    lease = (await store.join(store.pseudonym("maria@example.com"))).lease
    with pytest.raises(ValueError, match="not valid"):
        store.seal(lease, Turn(id="x", created_at=1.5, details={"n": 10**4300}))
    assert lease.last_seq == 0
