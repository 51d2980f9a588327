"""The compact text of a turn."""

from __future__ import annotations

import copy
import json
import pickle
import secrets
import struct
from itertools import product
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from livekit.agents.utils import shortuuid
from pydantic import ValidationError

from session_store import Keyring, Turn, TurnKind
from session_store.sealing.data_key import NO_TAG
from session_store.sealing.turn_codec import decode_turn, encode_turn

ROLES = (None, "user", "assistant", "system", "developer")
LIVEKIT_ID = "item_0123456789ab"

examples = settings(deadline=None, derandomize=True, database=None)

words = st.text(st.characters(exclude_categories=["Cs"]))
numbers = (
    st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
)
details = st.dictionaries(
    words,
    st.recursive(
        st.none() | st.booleans() | numbers | words,
        lambda inner: st.lists(inner) | st.dictionaries(words, inner),
        max_leaves=8,
    ),
    max_size=4,
)
ids = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
    | st.from_regex(r"item_[0-9a-f]{12}", fullmatch=True)
    | st.from_regex(r"item_[0-9a-fA-F ]{11,13}\n?", fullmatch=True)
)
turns = st.builds(
    Turn,
    id=ids,
    kind=st.sampled_from(TurnKind),
    role=st.sampled_from(ROLES),
    text=words,
    created_at=st.floats(allow_nan=False, allow_infinity=False),
    interrupted=st.booleans(),
    details=details,
)


def nested(levels: int) -> Any:
    """Return objects in objects."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def plain(
    what: int = 4, created_at: float = 1.5, name: bytes = b"\1x", rest: bytes = b"words"
) -> bytes:
    """Put the parts of an encoded turn together; it is a user's message if none is given."""
    return struct.pack(">Bd", what, created_at) + name + rest


def with_details(form: int, text: bytes, *, size: int | None = None) -> bytes:
    """Return a turn with these details in one of their two forms."""
    length = len(text) if size is None else size
    return plain(4 + 80 * form, rest=length.to_bytes(4) + text + b"words")


def exactly(value: object) -> str:
    """Tell values apart that are equal: 1, 1.0 and True, or 0.0 and -0.0."""
    return repr(value)


@examples
@given(turns)
@example(Turn(id=LIVEKIT_ID, created_at=0.0))
@example(Turn(id="🌸" * 128, created_at=-0.0, text="\0"))
@example(Turn(id="x" * 128, created_at=5e-324, details={"": {}}))
@example(Turn(id="x", created_at=1.5, details={"n": [2**64, 1.0, -0.0, True, 10**4000]}))
@example(Turn(id="x", created_at=1.5, details=nested(200)))
@example(Turn(id="x", created_at=1.5, details=nested(254)))
@example(Turn(id="x", created_at=1.5, details=nested(255)))
def test_every_turn_is_read_back(turn: Turn) -> None:
    """What is written of a turn is read as the same turn, whatever is in it."""
    again = decode_turn(encode_turn(turn))
    assert again == turn
    assert exactly(again) == exactly(turn)


@examples
@given(st.binary() | st.binary().map(lambda rest: plain(rest=rest)))
@example(b"")
def test_any_bytes_are_a_turn_or_a_value_error(data: bytes) -> None:
    """Arbitrary bytes raise no other error than the store expects."""
    try:
        turn = decode_turn(data)
    except ValueError:
        return
    assert decode_turn(encode_turn(turn)) == turn


@examples
@given(turns, st.data())
def test_a_damaged_turn_is_a_turn_or_a_value_error(turn: Turn, data: st.DataObject) -> None:
    """One byte changed anywhere gives another valid turn, or a ValueError."""
    damaged = bytearray(encode_turn(turn))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode_turn(bytes(damaged))
    except ValueError:
        return
    assert Turn.model_validate(again.model_dump()) == again


@examples
@given(turns, st.data())
def test_a_turn_cut_before_its_text_is_refused(turn: Turn, data: st.DataObject) -> None:
    """Whatever is missing of what comes before the text, the rest is no turn."""
    written = encode_turn(turn.model_copy(update={"text": ""}))
    with pytest.raises(ValueError, match=r".+"):
        decode_turn(written[: data.draw(st.integers(0, len(written) - 1))])


def test_the_first_byte_says_five_things() -> None:
    """Kind, role, interruption, and how id and details are written are one number below 240."""
    meanings = product((0, 1, 2), (False, True), (False, True), ROLES, TurnKind)
    for what, (details_form, is_livekit, interrupted, role, kind) in enumerate(meanings):
        turn = Turn(
            id=LIVEKIT_ID if is_livekit else "x",
            kind=kind,
            role=role,
            interrupted=interrupted,
            created_at=1.5,
            details=({}, {"a": 1}, {"a": 2**64})[details_form],
        )
        assert encode_turn(turn)[0] == what
        assert decode_turn(encode_turn(turn)) == turn


def test_every_role_of_the_model_can_be_written() -> None:
    """A role that is added to the model must get a number too."""
    assert set(ROLES[1:]) == set(get_args(get_args(Turn.model_fields["role"].annotation)[0]))


@pytest.mark.parametrize("what", range(240, 256))
def test_an_unknown_first_byte_is_refused(what: int) -> None:
    """Numbers that mean nothing in this version are no turn."""
    with pytest.raises(ValueError, match="unknown kind"):
        decode_turn(plain(what))


@pytest.mark.parametrize(
    "data",
    [
        plain(created_at=float("nan")),
        plain(created_at=float("-inf")),
        plain(name=b"\0\0\0"),
        plain(name=b"\x81" + b"x" * 129),
        plain(name=b"\0\2\1" + b"x" * 513),
        plain(name=b"\2\xff\xff"),
        plain(name=b"\2\xc3", rest=b""),
        plain(name=b"\x08x", rest=b""),
        plain(rest=b"\xed\xa0\x80"),
        with_details(1, b"[]"),
        with_details(1, b'{"a":1}', size=6),
        with_details(1, b'{"a":1}', size=8),
        with_details(1, b'{"a":1}', size=2**32 - 1),
        with_details(1, b'{"a":1e999}'),
        with_details(1, b'{"a":"\\ud800"}'),
        with_details(2, b"7"),
        with_details(2, b'{"a":NaN}'),
        with_details(2, b'{"a":1e999}'),
        with_details(2, b'{"a":' * 2000 + b"1" + b"}" * 2000),
    ],
)
def test_a_text_of_another_shape_is_refused(data: bytes) -> None:
    """Values outside of the model, wrong lengths, and what is not UTF-8 or JSON are no turn."""
    with pytest.raises(ValueError, match=r".+"):
        decode_turn(data)


def test_the_parts_of_these_tests_are_a_turn() -> None:
    """What the tests above damage is a turn when left whole."""
    turn = Turn(id="x", role="user", text="words", created_at=1.5)
    assert decode_turn(plain()) == turn
    assert decode_turn(plain(name=b"\0\0\1x")) == turn
    for form in (1, 2):
        read = decode_turn(with_details(form, b'{"a":1}'))
        assert read == turn.model_copy(update={"details": {"a": 1}})


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "\ud800"},
        {"details": {"a": "\ud800"}},
        {"details": {"\ud800": 1}},
        {"details": {"a": "\ud800", "n": 2**64}},
    ],
)
def test_a_lone_surrogate_is_refused(changed: dict[str, Any]) -> None:
    """Half a character cannot be kept, neither in the text nor in the details."""
    with pytest.raises(ValueError, match=r".+"):
        encode_turn(Turn.model_validate({"id": "x", "created_at": 1.5, **changed}))


def test_a_number_that_could_not_be_read_is_refused() -> None:
    """Python reads whole numbers of 4300 digits at most, so no longer one is written."""
    with pytest.raises(ValueError, match="digits"):
        encode_turn(Turn(id="x", created_at=1.5, details={"n": 10**4300}))


@pytest.mark.parametrize(
    "changed",
    [
        {"id": ""},
        {"id": "x" * 129},
        {"kind": "shout"},
        {"role": "nobody"},
        {"created_at": float("inf")},
        {"details": {"a": b"bytes"}},
        {"details": nested(2000)},
    ],
)
def test_a_turn_made_invalid_is_refused(changed: dict[str, Any]) -> None:
    """A copy with values that the model never saw is not written, since it would never open."""
    turn = Turn(id="x", role="user", created_at=1.5)
    with pytest.raises(ValueError, match=r".+"):
        encode_turn(turn.model_copy(update=changed))


@pytest.mark.parametrize(
    ("turn_id", "size"),
    [
        (shortuuid("item_"), 244),
        ("A-_z0123456789abcdefgh", 261),
        (str(uuid4()), 275),
    ],
    ids=["LiveKit", "page", "uuid4"],
)
def test_200_bytes_of_text_are_sealed_in_few(turn_id: str, size: int) -> None:
    """Seal and header add 44 bytes to a turn whose id LiveKit has made, and few to others."""
    ring = Keyring(
        {"a": secrets.token_bytes(32)}, primary="a", pseudonym_key=secrets.token_bytes(32)
    )
    key = ring.unwrap("p", ring.new_data_key("p"))
    turn = Turn(id=turn_id, role="user", text="x" * 200, created_at=1_700_000_000.123456)
    assert len(key.seal_turn("session", 1, NO_TAG, encode_turn(turn))) == size


def test_a_turn_that_was_read_is_like_one_that_was_made() -> None:
    """Turns are read past the validation of pydantic, without a difference."""
    made = Turn(
        id=LIVEKIT_ID,
        kind=TurnKind.MESSAGE,
        role="user",
        text="words",
        created_at=1.5,
        interrupted=True,
        details={},
    )
    read, other = decode_turn(encode_turn(made)), decode_turn(encode_turn(made))
    assert exactly(read) == exactly(made)
    assert read.model_fields_set == made.model_fields_set
    assert read.model_dump_json() == made.model_dump_json()
    assert read.model_copy(update={"text": "more"}).text == "more"
    assert pickle.loads(pickle.dumps(read)) == copy.deepcopy(read) == made  # noqa: S301 (just written)
    assert isinstance(read.kind, TurnKind)
    with pytest.raises(ValidationError, match="frozen"):
        read.text = "other"  # type: ignore[misc]
    assert read.details is not other.details
    assert read.model_fields_set is not other.model_fields_set


def test_details_are_plain_json() -> None:
    """A reader with the key can read the details of a tool's call without this library."""
    held = {"name": "remember", "arguments": '{"fact":"María 🌸"}', "n": 2**64}
    written = encode_turn(Turn(id="x", kind=TurnKind.TOOL_CALL, created_at=1.5, details=held))
    assert json.loads(written[15:]) == held
