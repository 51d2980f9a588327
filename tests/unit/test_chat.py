"""Turn to ChatItem and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import llm
from livekit.agents.llm.chat_context import CacheBreakpoint

from session_store import RecordedTurn, TurnKind
from session_store.livekit.job.chat_items import active_agent, item_of, turn_of
from session_store.livekit.job.model_context import chat_context
from session_store.livekit.job.owed_answer import owed
from session_store.sealing.turn_codec import decode_turn, encode_turn

if TYPE_CHECKING:
    from collections.abc import Iterable

ITEMS: list[llm.ChatItem] = [
    llm.ChatMessage(role="user", content=["my name is María"], created_at=1.5),
    llm.ChatMessage(role="assistant", content=["one", "two"], interrupted=True),
    llm.ChatMessage(
        role="user", content=["hm"], transcript_confidence=0.25, extra={"provider": {"id": 1}}
    ),
    llm.ChatMessage(role="assistant", content=["<expr type='laugh'/>Well!"]),
    llm.ChatMessage(role="system", content=["be kind", CacheBreakpoint()]),
    llm.ChatMessage(
        role="user",
        content=[llm.ImageContent(image="https://example.org/cat.png", inference_detail="low")],
    ),
    llm.FunctionCall(
        call_id="c1", name="remember", arguments='{"fact": "x"}', extra={"k": "v"}, group_id="g"
    ),
    llm.FunctionCall(
        call_id="c2",
        name="look",
        arguments="{}",
        extra={"google": {"thought_signature": b"\xff\0"}, "$": 1, "n": {"$bytes": "AAAA"}},
    ),
    llm.FunctionCallOutput(
        call_id="c1", name="remember", output="no", is_error=True, reply_required=False
    ),
    llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
    llm.AgentConfigUpdate(instructions="be brief", tools_added=["look"], tools_removed=[]),
]

examples = settings(deadline=None, derandomize=True, database=None)
words = st.text(st.characters(exclude_categories=["Cs"]))
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
times = st.floats(0, 2**30)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
    max_leaves=8,
)
extras = st.dictionaries(words, values, max_size=3)
pictures = st.builds(
    llm.ImageContent,
    id=ids,
    image=words.map(lambda path: f"https://example.org/{path}"),
    inference_width=st.none() | st.integers(1, 9999),
    inference_detail=st.sampled_from(["auto", "high", "low"]),
    mime_type=st.none() | words,
)
items: st.SearchStrategy[llm.ChatItem] = st.one_of(
    st.builds(
        llm.ChatMessage,
        id=ids,
        role=st.sampled_from(["user", "assistant", "system", "developer"]),
        content=st.lists(words | pictures | st.just(CacheBreakpoint()), max_size=3),
        interrupted=st.booleans(),
        transcript_confidence=st.none() | st.floats(0, 1),
        extra=extras,
        created_at=times,
    ),
    st.builds(
        llm.FunctionCall,
        id=ids,
        call_id=words,
        arguments=words,
        name=words,
        extra=extras,
        group_id=st.none() | words,
        created_at=times,
    ),
    st.builds(
        llm.FunctionCallOutput,
        id=ids,
        name=words,
        call_id=words,
        output=words,
        is_error=st.booleans(),
        reply_required=st.booleans(),
        created_at=times,
    ),
    st.builds(
        llm.AgentHandoff,
        id=ids,
        old_agent_id=st.none() | words,
        new_agent_id=words,
        created_at=times,
    ),
    st.builds(
        llm.AgentConfigUpdate,
        id=ids,
        instructions=st.none() | words,
        tools_added=st.none() | st.lists(words),
        tools_removed=st.none() | st.lists(words),
        created_at=times,
    ),
)


def there_and_back(item: llm.ChatItem, *, turn_id: str | None = None) -> llm.ChatItem | None:
    """Take an item through the bytes that are sealed."""
    return item_of(decode_turn(encode_turn(turn_of(item, turn_id=turn_id))))


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.type)
def test_nothing_is_lost_on_the_way(item: llm.ChatItem) -> None:
    """Every field of every item comes back, tools and interruptions and times too."""
    assert there_and_back(item) == item


@examples
@given(items)
def test_whatever_an_item_holds_comes_back(item: llm.ChatItem) -> None:
    """Any item of any type is equal to itself after it was sealed and read."""
    assert there_and_back(item) == item


@examples
@given(items, ids)
def test_a_turn_may_have_a_name_of_its_own(item: llm.ChatItem, turn_id: str) -> None:
    """A turn that was a draft before has the draft's id; its item gets its own back."""
    assert turn_of(item, turn_id=turn_id).id == turn_id
    assert there_and_back(item, turn_id=turn_id) == item


def test_every_type_of_livekit_is_among_them() -> None:
    """A type that LiveKit adds to its chat items fails here, and not in a conversation."""
    union, _discriminator = get_args(llm.ChatItem)
    assert {type(item) for item in ITEMS} == set(get_args(union))
    parts = {type(part) for item in ITEMS if item.type == "message" for part in item.content}
    assert parts | {llm.AudioContent} == set(get_args(llm.ChatContent))


def test_pictures_and_sound_are_left_out_and_counted() -> None:
    """A message keeps its words, those heard in its sound too, and says what is missing."""
    frame = rtc.AudioFrame(b"\0\0" * 480, 48000, 1, 480)
    message = llm.ChatMessage(
        role="user",
        content=[
            "look",
            llm.ImageContent(image="data:image/png;base64,AAAA"),
            llm.AudioContent(frame=[frame], transcript="and listen"),
            llm.AudioContent(frame=[frame]),
        ],
    )
    turn = turn_of(message)
    assert (turn.text, turn.details["left_out"]) == ("look\nand listen", 3)
    item = item_of(turn)
    assert isinstance(item, llm.ChatMessage)
    assert item.content == ["look", "and listen"]


def test_metrics_stay_in_their_process() -> None:
    """How long something took in a process that is gone is nothing of the conversation."""
    message = llm.ChatMessage(role="user", content=["hm"], metrics={"transcription_delay": 1.5})
    assert turn_of(message).details == {}


def test_a_page_sees_no_markup() -> None:
    """What tells a voice how to speak is kept for the model, and is no text."""
    turn = turn_of(llm.ChatMessage(role="assistant", content=["<expr type='laugh'/>Well!"]))
    assert turn.text == "Well!"


def test_values_that_are_no_data_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """An object or a number without end in ``extra`` costs itself, and no more."""
    call = llm.FunctionCall(
        call_id="c", name="n", arguments="{}", extra={"a": {"o": object(), "n": 1}, "i": [1e999]}
    )
    item = there_and_back(call)
    assert isinstance(item, llm.FunctionCall)
    assert item.extra == {"a": {"n": 1}}
    (logged,) = caplog.records
    assert vars(logged)["fields"] == ["extra.a.o", "extra.i"]


class Gesture(llm.chat_context._ChatItemBase):
    """An item of a LiveKit to come."""

    id: str = "item_0123456789ab"
    type: Literal["gesture"] = "gesture"
    role: str = "user"
    created_at: float = 1.5
    kind: str = "wave"


class NewMessage(llm.ChatMessage):
    """A message of a LiveKit to come."""

    mood: str = "sad"


def test_an_unknown_type_is_kept_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """It stays in the record with all it holds; the model is not given it, and a log says so."""
    gesture: Any = Gesture(kind="nod")
    turn = turn_of(gesture)
    assert (turn.kind, turn.details) == (TurnKind.HANDOFF, {"type": "gesture", "kind": "nod"})
    assert item_of(turn) is None
    assert vars(caplog.records[0])["type"] == "gesture"
    assert chat_context([RecordedTurn(1, turn)], 10).items == []
    assert not owed([RecordedTurn(1, turn)])


def test_an_unknown_field_is_kept() -> None:
    """What a newer LiveKit says of a message stays in the record; an older one reads the rest."""
    turn = turn_of(NewMessage(role="user", content=["hm"], mood="bad"))
    assert turn.details == {"mood": "bad"}
    item = item_of(turn)
    assert isinstance(item, llm.ChatMessage)
    assert item.content == ["hm"]


def test_an_unknown_part_of_a_message_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """A message of which a part is from a newer LiveKit keeps the others."""
    turn = turn_of(llm.ChatMessage(role="user", content=["look"]))
    newer = turn.model_copy(update={"details": {"content": ["look", {"type": "hologram"}]}})
    item = item_of(newer)
    assert isinstance(item, llm.ChatMessage)
    assert item.content == ["look"]
    assert vars(caplog.records[0])["type"] == "hologram"


def test_the_last_handoff_tells_who_is_active() -> None:
    """Without one, no turn has."""
    handoffs: Iterable[llm.ChatItem] = [
        llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
        llm.AgentConfigUpdate(instructions="be brief"),
    ]
    turns = [RecordedTurn(seq, turn_of(item)) for seq, item in enumerate(handoffs, 1)]
    assert active_agent(turns) == "b"
    assert active_agent([]) is None
