"""Turn to ChatItem and back."""

from __future__ import annotations

import pytest
from livekit.agents import llm

from session_store import RecordedTurn
from session_store.livekit.chat import chat_context, item_of, turn_of, unanswered

ITEMS: list[llm.ChatItem] = [
    llm.ChatMessage(role="user", content=["my name is María"], created_at=1.5),
    llm.ChatMessage(role="assistant", content=["one", "two"], interrupted=True),
    llm.ChatMessage(
        role="user", content=["hm"], transcript_confidence=0.25, extra={"provider": {"id": 1}}
    ),
    llm.FunctionCall(
        call_id="c1", name="remember", arguments='{"fact": "x"}', extra={"k": "v"}, group_id="g"
    ),
    llm.FunctionCallOutput(
        call_id="c1", name="remember", output="no", is_error=True, reply_required=False
    ),
    llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.type)
def test_nothing_is_lost_on_the_way(item: llm.ChatItem) -> None:
    """Every field of every item comes back, tools and interruptions and times too."""
    turn = turn_of(item)
    assert turn is not None
    again = turn.model_validate_json(turn.model_dump_json(exclude_defaults=True))
    assert item_of(again).model_dump(exclude={"metrics"}) == item.model_dump(exclude={"metrics"})


def test_pictures_are_left_out_and_counted() -> None:
    """A message with a picture keeps its words, and says that something is missing."""
    picture = llm.ImageContent(image="https://example.org/cat.png")
    turn = turn_of(llm.ChatMessage(role="user", content=["look", picture]))
    assert turn is not None
    assert (turn.text, turn.details) == ("look", {"left_out": 1})
    assert isinstance(item_of(turn), llm.ChatMessage)


def test_changes_of_configuration_are_no_turns() -> None:
    """What says nothing of the conversation is not recorded, nor that a job has begun."""
    assert turn_of(llm.AgentConfigUpdate(instructions="secret instructions")) is None
    assert turn_of(llm.AgentHandoff(old_agent_id=None, new_agent_id="b")) is None


def recorded(*items: llm.ChatItem) -> list[RecordedTurn]:
    """Number items as turns."""
    turns = [turn for item in items if (turn := turn_of(item)) is not None]
    return [RecordedTurn(seq, turn) for seq, turn in enumerate(turns, 1)]


def test_the_model_gets_the_newest_items() -> None:
    """So many as were asked for, in order."""
    turns = recorded(
        *(llm.ChatMessage(role="user", content=[str(n)], created_at=n) for n in range(30))
    )
    context = chat_context(turns, 10)
    assert [item.text_content for item in context.messages()] == [str(n) for n in range(20, 30)]
    assert chat_context(turns, 0).items == []


def test_a_tools_output_never_comes_without_its_call() -> None:
    """Providers refuse an output whose call was cut away."""
    question = llm.ChatMessage(role="user", content=["remember x"], created_at=1)
    call = llm.FunctionCall(call_id="c", name="remember", arguments="{}", created_at=2)
    output = llm.FunctionCallOutput(call_id="c", output="ok", is_error=False, created_at=3)
    answer = llm.ChatMessage(role="assistant", content=["Done."], created_at=4)
    context = chat_context(recorded(question, call, output, answer), 2)
    assert [item.type for item in context.items] == ["message"]


def test_who_spoke_last_decides_whether_an_answer_is_due() -> None:
    """The participant's last words want an answer; tools in between do not count."""
    question = llm.ChatMessage(role="user", content=["hello?"])
    answer = llm.ChatMessage(role="assistant", content=["Hello!"])
    call = llm.FunctionCall(call_id="c", name="look", arguments="{}")
    assert unanswered(recorded(answer, question))
    assert unanswered(recorded(question, call))
    assert not unanswered(recorded(question, answer))
    assert not unanswered([])
