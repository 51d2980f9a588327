"""Turn to ChatItem and back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import Agent, function_tool, llm
from livekit.agents.llm.chat_context import CacheBreakpoint

from session_store import RecordedTurn, TurnKind
from session_store.livekit.job.chat_items import (
    active_agent,
    chat_context,
    item_of,
    turn_of,
    unanswered,
)
from session_store.livekit.job.unknown_outcomes import unknown_outcomes
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
    assert not unanswered([RecordedTurn(1, turn)])


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


def recorded(*items: llm.ChatItem) -> list[RecordedTurn]:
    """Number items as turns."""
    return [RecordedTurn(seq, turn_of(item)) for seq, item in enumerate(items, 1)]


def types(context: llm.ChatContext) -> list[str]:
    """Return what kinds of items a context has."""
    return [item.type for item in context.items]


def said(role: Literal["user", "assistant", "system"], text: str, at: float) -> llm.ChatMessage:
    """Return a message."""
    return llm.ChatMessage(role=role, content=[text], created_at=at)


def called(call_id: str, at: float, name: str = "look") -> llm.FunctionCall:
    """Return a tool call."""
    return llm.FunctionCall(call_id=call_id, name=name, arguments="{}", created_at=at)


def put_out(call_id: str, at: float, output: str = "ok") -> llm.FunctionCallOutput:
    """Return the output of a tool call."""
    return llm.FunctionCallOutput(call_id=call_id, output=output, is_error=False, created_at=at)


def test_the_model_gets_the_newest_items() -> None:
    """So many as were asked for, in order."""
    turns = recorded(*(said("user", str(n), n) for n in range(30)))
    context = chat_context(turns, 10)
    assert [item.text_content for item in context.messages()] == [str(n) for n in range(20, 30)]
    assert chat_context(turns, 0).items == []


@examples
@given(
    st.lists(
        st.builds(said, st.sampled_from(["user", "assistant", "system"]), words, times)
        | st.builds(called, st.sampled_from("abc"), times)
        | st.builds(put_out, st.sampled_from("abc"), times)
        | st.builds(llm.AgentHandoff, new_agent_id=words)
    ),
    st.integers(0, 6),
)
def test_no_context_is_one_that_providers_refuse(history: list[llm.ChatItem], newest: int) -> None:
    """Whatever the record holds, calls and outputs come in pairs, behind the first message."""
    context = chat_context(recorded(*history), newest)
    assert len(context.items) <= newest
    assert types(context)[:1] in ([], ["message"])
    assert {item.role for item in context.messages()} <= {"user", "assistant"}
    open_calls: set[str] = set()
    ended: set[str] = set()
    for item in context.items:
        if isinstance(item, llm.FunctionCall):
            open_calls.add(item.call_id)
        elif isinstance(item, llm.FunctionCallOutput):
            assert item.call_id in open_calls
            ended.add(item.call_id)
    assert open_calls == ended
    for provider in ("openai", "openai.responses", "google", "aws", "anthropic", "mistralai"):
        context.to_provider_format(provider)


def test_a_pair_that_is_cut_apart_is_dropped() -> None:
    """Where the newest items begin between a call and its output, neither is left."""
    turns = recorded(
        called("c", 2), said("user", "hurry", 3), put_out("c", 4), said("assistant", "Done.", 5)
    )
    assert types(chat_context(turns, 3)) == ["message", "message"]


def test_words_before_a_call_stand_before_it() -> None:
    """A call is recorded as it begins, and what was said before it when that has been heard."""
    turns = recorded(
        said("user", "look", 1),
        called("c", 3),
        said("assistant", "Let me see.", 2),
        put_out("c", 4),
    )
    assert types(chat_context(turns, 9)) == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]


def test_instructions_handoffs_and_empty_messages_are_for_the_record() -> None:
    """The agent that starts has its own; and providers refuse a message without content."""
    turns = recorded(
        said("system", "be kind", 1),
        llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
        llm.AgentConfigUpdate(instructions="be brief"),
        llm.ChatMessage(role="user", content=[llm.ImageContent(image="data:x")]),
    )
    assert chat_context(turns, 9).items == []


def test_the_calls_of_tools_that_an_agent_has_not_are_dropped() -> None:
    """LiveKit itself does so, when it is given the context."""

    @function_tool
    async def look() -> str:
        """Look."""
        return "ok"

    turns = recorded(
        said("user", "look, and leap", 1),
        called("c", 2),
        put_out("c", 3),
        called("d", 4, name="leap"),
        put_out("d", 5),
    )
    agent = Agent(instructions="", chat_ctx=chat_context(turns, 9), tools=[look])
    assert types(agent.chat_ctx) == ["message", "function_call", "function_call_output"]


def test_a_call_without_an_end_has_an_unknown_outcome() -> None:
    """So has each of several, and a tool that had reported and not ended; others have theirs."""
    reported = turn_of(put_out("c", 5, "still looking"))
    reported = reported.model_copy(update={"details": {**reported.details, "still_runs": True}})
    turns = [
        *recorded(said("user", "look", 1), called("a", 2), called("b", 3), called("c", 4)),
        RecordedTurn(5, reported),
        *recorded(put_out("b", 6)),
    ]
    outcomes = unknown_outcomes(turns)
    outputs = [item for item in outcomes if isinstance(item, llm.FunctionCallOutput)]
    assert [(item.call_id, item.is_error) for item in outputs] == [("a", True), ("c_final", True)]
    assert all("outcome unknown" in item.output for item in outputs)
    again = [*turns, *recorded(*outcomes)]
    assert unknown_outcomes(again) == []
    assert len(chat_context(again, 20).items) == 9


def test_an_outcome_that_comes_in_late_replaces_the_unknown_one() -> None:
    """A job that was taken for dead may have ended its call, and bring that in afterwards."""
    turns = recorded(said("user", "look", 1), called("a", 2))
    turns += recorded(*unknown_outcomes(turns), put_out("a", 3, "found"))
    outputs = [
        item.output
        for item in chat_context(turns, 9).items
        if isinstance(item, llm.FunctionCallOutput)
    ]
    assert outputs == ["found"]


def test_who_spoke_last_decides_whether_an_answer_is_due() -> None:
    """The participant's last words want an answer, and so does what came of a tool for them."""
    question, answer = said("user", "hello?", 1), said("assistant", "Hello!", 2)
    call, output = called("c", 3), put_out("c", 4)
    handed_over = llm.FunctionCallOutput(
        call_id="c", output="", is_error=False, reply_required=False
    )
    assert unanswered(recorded(answer, said("user", "and you?", 3)))
    assert unanswered(recorded(question, call))
    assert unanswered(recorded(question, answer, call, output))
    assert not unanswered(recorded(question, answer))
    assert not unanswered(recorded(question, answer, call, handed_over))
    assert not unanswered([])


def test_words_that_were_recovered_late_may_have_been_answered() -> None:
    """They are recorded last; when they were said decides."""
    noise, question = said("user", "uh", 1), said("user", "hello?", 2)
    answer = said("assistant", "Hello!", 3)
    assert not unanswered(recorded(question, answer, noise))


def test_nothing_in_a_context_is_of_the_future() -> None:
    """What is said now stands behind what was said on a machine whose clock is ahead."""
    context = chat_context(recorded(said("user", "hello?", time.time() + 60)), 9)
    context.insert(llm.ChatMessage(role="user", content=["and now"]))
    assert [item.text_content for item in context.messages()] == ["hello?", "and now"]


def test_the_last_handoff_tells_who_is_active() -> None:
    """Without one, no turn has."""
    handoffs: Iterable[llm.ChatItem] = [
        llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
        llm.AgentConfigUpdate(instructions="be brief"),
    ]
    assert active_agent(recorded(*handoffs)) == "b"
    assert active_agent(recorded(called("c", 1))) is None
