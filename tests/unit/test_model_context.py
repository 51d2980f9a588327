"""What a successor's model is given, and what it owes an answer to."""

from __future__ import annotations

import time
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.agents import llm

from dev.rig.providers.strict import refusals
from session_store import RecordedTurn
from session_store.livekit.job.chat_items import turn_of
from session_store.livekit.job.model_context import chat_context
from session_store.livekit.job.owed_answer import Owed, is_unbegun, owed
from session_store.livekit.job.tool_pairs import CALL_TURN, tool_pairs
from session_store.livekit.job.unknown_outcomes import unknown_outcomes
from session_store.models import RECOVERED

examples = settings(deadline=None, derandomize=True, database=None)
words = st.text(st.characters(exclude_categories=["Cs"]))
times = st.floats(0, 2**30)


def recorded(*items: llm.ChatItem) -> list[RecordedTurn]:
    """Number items as turns."""
    return [RecordedTurn(seq, turn_of(item)) for seq, item in enumerate(items, 1)]


def with_outcomes(turns: list[RecordedTurn]) -> list[RecordedTurn]:
    """Return what a successor's record holds, once it has added the unknown outcomes."""
    turns = list(turns)
    for item, call_turn in unknown_outcomes(turns):
        turn = turn_of(item)
        if call_turn is not None:
            turn = turn.model_copy(update={"details": {**turn.details, CALL_TURN: call_turn}})
        turns.append(RecordedTurn(len(turns) + 1, turn))
    return turns


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


def texts(context: llm.ChatContext) -> list[str | None]:
    """Return what was said in a context."""
    return [item.text_content for item in context.messages()]


def exchange(number: int, steps: int = 0) -> list[llm.ChatItem]:
    """Return a question, tool calls for it, and the answer; all calls have the same id."""
    at = 100.0 * number
    items: list[llm.ChatItem] = [said("user", f"question {number}", at)]
    for step in range(steps):
        items += [
            called("call_0", at + 2 * step + 1),
            put_out("call_0", at + 2 * step + 2, f"{number}.{step}"),
        ]
    return [*items, said("assistant", f"answer {number}", at + 99)]


def test_the_model_gets_the_newest_items() -> None:
    """So many as were asked for, in order, from the beginning of an exchange on."""
    turns = recorded(*(item for number in range(20) for item in exchange(number)))
    asked_and_told = [f"{what} {n}" for n in range(15, 20) for what in ("question", "answer")]
    assert texts(chat_context(turns, 10)) == asked_and_told
    assert texts(chat_context(turns, 11)) == asked_and_told
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
    """Whatever the record holds, calls and outputs come in pairs, each pair under its own id."""
    turns = recorded(*history)
    context = chat_context(turns, newest)
    assert {item.role for item in context.messages()} <= {"user", "assistant"}
    calls = [item.call_id for item in context.items if isinstance(item, llm.FunctionCall)]
    outputs = [item.call_id for item in context.items if isinstance(item, llm.FunctionCallOutput)]
    assert len(set(calls)) == len(calls)
    assert sorted(calls) == sorted(outputs)
    for provider in ("openai.responses", "google", "aws", "anthropic", "mistralai"):
        context.to_provider_format(provider)
    messages, _ = context.to_provider_format("openai")
    assert refusals([{"role": "system", "content": "be kind"}, *messages]) == []
    given = {item.id for item in context.items}
    wanted = {item.id for item in history if item.id in owed(turns).turns}
    has_content = {item.id for item in history if getattr(item, "content", True)}
    paired = {pair.output.turn.id for pair in tool_pairs(turns) if pair.output is not None}
    is_tool = {item.id for item in history if isinstance(item, llm.FunctionCallOutput)}
    assert {each for each in wanted & has_content if each not in is_tool - paired} <= given


def test_every_pair_stays_a_pair_though_each_reply_counts_from_zero() -> None:
    """The id of a call links within its reply: the same one may come in every later reply."""
    turns = recorded(*exchange(1, steps=2), *exchange(2, steps=1))
    items = chat_context(turns, 20).items
    pairs = {
        item.call_id: item.output for item in items if isinstance(item, llm.FunctionCallOutput)
    }
    calls = [item.call_id for item in items if isinstance(item, llm.FunctionCall)]
    assert [pairs[call_id] for call_id in calls] == ["1.0", "1.1", "2.0"]
    assert "call_0" not in pairs


def test_a_long_reply_comes_with_its_question() -> None:
    """Six steps of tools, and no answer yet: all of them, and the words that they are for."""
    turns = recorded(*exchange(1), *exchange(2, steps=6)[:-1])
    context = chat_context(turns, 10)
    assert texts(context) == ["question 2"]
    assert len(context.items) == 13
    assert owed(turns)


def test_a_question_without_an_answer_is_given_however_far_back_it_is() -> None:
    """A tool that reports while it runs, and a user who hurries it, do not hide the question."""
    turns = recorded(
        *exchange(1),
        said("user", "pay", 200),
        said("assistant", "One moment.", 201),
        called("c", 202),
        said("user", "hurry", 203),
    )
    turns = with_outcomes(turns)
    context = chat_context(turns, 1)
    assert texts(context) == ["pay", "One moment.", "hurry"]
    assert owed(turns) == Owed(frozenset({turns[-1].turn.id, turns[-2].turn.id}), is_unknown=True)


def test_a_pair_that_is_cut_apart_is_dropped() -> None:
    """Where the newest items begin between a call and its output, neither is left."""
    turns = recorded(
        said("assistant", "Hello!", 1),
        called("c", 2),
        said("user", "hurry", 3),
        put_out("c", 4),
        said("assistant", "Done.", 5),
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


def test_a_call_without_an_end_has_an_unknown_outcome() -> None:
    """So has each of several, and a tool that had reported and not ended; others have theirs."""
    reported = turn_of(put_out("c", 5, "still looking"))
    reported = reported.model_copy(update={"details": {**reported.details, "still_runs": True}})
    turns = [
        *recorded(said("user", "look", 1), called("a", 2), called("b", 3), called("c", 4)),
        RecordedTurn(5, reported),
        *recorded(put_out("b", 6)),
    ]
    outcomes = [made_up.item for made_up in unknown_outcomes(turns)]
    outputs = [item for item in outcomes if isinstance(item, llm.FunctionCallOutput)]
    assert [(item.call_id, item.is_error) for item in outputs] == [("a", True), ("c_final", True)]
    assert all("outcome unknown" in item.output for item in outputs)
    again = with_outcomes(turns)
    assert unknown_outcomes(again) == []
    assert len(chat_context(again, 20).items) == 9


def test_each_call_without_an_end_has_an_outcome_of_its_own_though_they_share_an_id() -> None:
    """Of two jobs that died, each in the first call of a reply."""
    turns = recorded(said("user", "look", 1), called("call_0", 2), called("call_0", 3))
    again = with_outcomes(turns)
    assert len(again) == 5
    assert unknown_outcomes(again) == []
    assert len(chat_context(again, 20).items) == 5


def test_an_outcome_that_comes_in_late_replaces_the_unknown_one() -> None:
    """A job that was taken for dead may have ended its call, and bring that in afterwards."""
    turns = recorded(said("user", "look", 1), called("a", 2))
    turns = with_outcomes(turns)
    assert owed(turns).is_unknown
    late = turn_of(put_out("a", 3, "found"))
    late = late.model_copy(update={"details": {**late.details, CALL_TURN: turns[1].turn.id}})
    turns.append(RecordedTurn(1, late, late=True))
    assert not owed(turns).is_unknown
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
    assert owed(recorded(answer, said("user", "and you?", 3)))
    assert owed(recorded(question, call))
    assert owed(recorded(question, answer, call, output))
    assert not owed(recorded(question, answer))
    assert not owed(recorded(question, answer, call, handed_over))
    assert not owed([])


def test_an_unknown_outcome_is_owed_until_the_agent_talks_after_it() -> None:
    """What the agent said while the tool ran does not explain what came of it."""
    turns = recorded(said("user", "pay", 1), called("c", 2), said("assistant", "A moment.", 3))
    assert not owed(turns)
    turns = with_outcomes(turns)
    assert owed(turns).is_unknown
    explained = RecordedTurn(5, turn_of(said("assistant", "I cannot tell.", 4)))
    assert not owed([*turns, explained])


def test_nothing_said_is_nobodys_last_word() -> None:
    """A message without words, such as a turn that was thrown away, wants no answer."""
    question, answer = said("user", "hello?", 1), said("assistant", "Hello!", 2)
    assert not owed(recorded(question, answer, said("user", " ", 3)))
    assert owed(recorded(question, said("assistant", "", 2)))


def test_words_that_were_recovered_late_may_have_been_answered() -> None:
    """They are recorded last; when they were said decides."""
    noise, question = said("user", "uh", 1), said("user", "hello?", 2)
    answer = said("assistant", "Hello!", 3)
    assert not owed(recorded(question, answer, noise))


def cut_off(text: str, at: float) -> RecordedTurn:
    """Return what an agent was saying when its job died, as a successor records it."""
    turn = turn_of(said("assistant", text, at))
    return RecordedTurn(99, turn.model_copy(update={"details": {**turn.details, RECOVERED: True}}))


def test_an_answer_that_its_job_did_not_live_to_finish_is_owed() -> None:
    """However much of it was heard; until another job has given it, or more was said."""
    question, half = said("user", "and then?", 1), cut_off("Then they", 2)
    turns = [*recorded(question), half]
    assert owed(turns) == Owed(
        frozenset({question.id}), is_unknown=False, begun=frozenset({half.turn.id})
    )
    assert owed([*turns, cut_off("Then", 3)]).turns == {question.id}
    assert not owed([*turns, *recorded(said("assistant", "Then they married.", 4))])
    # Nobody has asked for this: a greeting, say.
    assert not owed([*recorded(question, said("assistant", "Yes.", 1.5)), half])
    assert not owed([half])


def test_a_greeting_that_its_job_did_not_live_to_finish_is_given_anew() -> None:
    """As if nothing was said; but not once the user has said something."""
    half = cut_off("Welcome to", 1)
    assert is_unbegun([])
    assert is_unbegun([half])
    assert not is_unbegun([half, *recorded(said("user", "hello?", 2))])
    assert not is_unbegun(recorded(said("assistant", "Welcome to us.", 1)))


def test_an_output_is_owed_an_answer_until_all_of_it_was_said() -> None:
    """The model answers from the output, and calls no tool for it again."""
    turns = recorded(said("user", "look", 1), called("c", 2), put_out("c", 3))
    assert owed([*turns, cut_off("It is", 4)]).turns == {turns[0].turn.id, turns[-1].turn.id}


def test_nothing_in_a_context_is_of_the_future() -> None:
    """What is said now stands behind what was said on a machine whose clock is ahead."""
    context = chat_context(recorded(said("user", "hello?", time.time() + 60)), 9)
    context.insert(llm.ChatMessage(role="user", content=["and now"]))
    assert [item.text_content for item in context.messages()] == ["hello?", "and now"]
