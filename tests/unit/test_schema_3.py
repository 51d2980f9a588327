"""Records of schema version 3, frozen: they open for ever, in one chain with versions 1 and 2."""

from __future__ import annotations

import pytest

from session_store import SealBroken, SessionContent, Turn
from session_store.models import MAX_PLACES, Place, Witness
from session_store.sealing import schema
from session_store.sealing.data_key import tag_of
from session_store.sealing.turn_codec import encode_turn
from tests.unit import test_schema_1 as version_1
from tests.unit import test_schema_2 as version_2
from tests.unit.test_schema_1 import SESSION, data_key
from tests.unit.test_schema_2 import opened

# Made once, by the code that wrote version 3; see the tests of version 2.
TURN = bytes.fromhex(
    "030adc3be946020488feef9b5d6132c8f0680a0a21752b67e35d50c8aefe4db33e96431cdba2ecdd6664"
    "c086639692fe8ff2e1035e0477f044d5abfc6e"
)
CONTENT = bytes.fromhex(
    "039b5cee9691b79ce4f762a5ea535b9051a8c4c0753245650bb83743d23564acac13c772da7653e1e808"
    "b854f8e532941b4093b67f00019a69d412db025a7e4f0e1cb3cd234daf71c5277e4366a5fb6bad0a2464"
    "ac3b5e14e45a7a4957b9e8d6f1bd1dd3b26ec7c9f4291316954f83e72919178e5e3c15bb52185eaa4110"
    "7369b6f1b4781917165f31ed1ccdfcfc2d7afe4b1c083e8c51727c4e5b793705f60d25e030e2280387cc"
    "0065434cb8f37249a8370e7e63ba4a6b3031190206e984f8d90c6822dc30e1f9b5cc45688b4b5a44a7ec"
    "95a5214fa4afefc3ae022ab97efedfc10e13ab61c565099c78bfce1eb0f7a8f392bb5bd6e8479ca9375b"
    "4ea74b6a51373644ce612fe76ce135a2c3b8ee966dc75b2259832097986dcc7a01358e8e5571e00675"
)
CONTENT_VERSION = 9
CONTENT_OF_VERSION_2 = bytes.fromhex(
    "02c91afce54720bac25e403233a94ee0d5b048244413eb6c70e58130afb74490dfefd6127742df5bb79d"
    "2e28efe8e4c1b27f5f2aeecd451861d20af3d96d801b38c98b5a24a8b5bec754b88a10a341c480d3cd9b"
    "d30b77af8822304f393c6a08c3dc451ec8baad3dff72142e478dd7a7e218637839481c77be08ae1ab5af"
    "181a762f71"
)
"""With the one place that version 2 knew."""

WORK = bytes.fromhex(
    "0345652c2cc7322f2afbfc5dca806159fe53e4d15337be9bcda447bc7dccd09e45359519a526bc7c17ed"
    "2ea7a40aaaba4c9be27b135881278958bf1481f892d5"
)
WORK_OF_TURN = 7

SAID = Turn(id="item_3", role="user", text="Und weiter? 🚀", created_at=1_700_000_006.5)


def test_a_turn_of_version_3_opens_behind_those_before() -> None:
    """And the same turn has the same text today as when it was frozen."""
    turns = opened((*version_1.TURNS, *version_2.TURNS, TURN))
    assert turns == [*version_1.SAID, *version_2.SAID, SAID]
    tag = tag_of(version_2.TURNS[-1])
    assert encode_turn(SAID) == data_key().open_turn(SESSION, len(turns), tag, TURN)


def test_a_content_of_version_3_opens() -> None:
    """It knows where the session was, with all that each dispatch had."""
    plain = data_key().open_content(SESSION, CONTENT_VERSION, CONTENT)
    assert schema.read_content(CONTENT[0], plain) == SessionContent(
        identity="maria@example.com",
        places=(
            Place(
                room="call-2",
                agent_name="sales",
                metadata='{"plan": "gold"}',
                attributes={"shop": "Köln"},
                deployment="blue",
                identity="maria",
            ),
            Place(room="call-1"),
        ),
        witness=Witness(seq=9, tag=tag_of(TURN).hex()),
    )


def test_a_work_of_version_3_opens() -> None:
    """It is opaque: only its number belongs to its seal."""
    plain = data_key().open_work(SESSION, WORK_OF_TURN, WORK)
    assert plain == '{"cart":["Tee"],"total":"4,50 €"}'.encode()
    for seq in (WORK_OF_TURN - 1, WORK_OF_TURN + 1):
        with pytest.raises(SealBroken):
            data_key().open_work(SESSION, seq, WORK)


def test_the_place_of_an_earlier_version_is_the_newest_of_several() -> None:
    """It named one room, without what else a dispatch has."""
    plain = data_key().open_content(SESSION, 10, CONTENT_OF_VERSION_2)
    content = schema.read_content(CONTENT_OF_VERSION_2[0], plain)
    assert content.places == (Place(room="call-1", agent_name="sales", metadata="m"),)


def test_each_room_is_known_once_and_the_oldest_is_forgotten() -> None:
    """A room that the session comes back to is the newest again."""
    content = SessionContent()
    for room in ("one", "two", "one", "three", "four"):
        content = content.at(Place(room=room))
    assert [place.room for place in content.places] == ["four", "three", "one"]
    assert len(content.places) == MAX_PLACES
