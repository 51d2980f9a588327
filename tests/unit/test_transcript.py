"""What is recorded of a conversation's items, and under which time."""

from __future__ import annotations

import json
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from livekit.agents import llm

from session_store import Keyring, Recorder, SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.livekit.job.chat_items import item_of
from session_store.livekit.job.tool_pairs import tool_pairs
from session_store.livekit.job.transcript import Transcript
from session_store.livekit.job.unknown_outcomes import unknown_outcomes

if TYPE_CHECKING:
    from session_store import RecordedTurn


class Page:
    """A page that notes what it is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def turn(self, recorded: RecordedTurn, *, saved: bool) -> None:
        """Note a turn."""
        assert not saved
        self.shown.append(recorded.turn.text)


async def transcript(*earlier: llm.ChatItem) -> Transcript:
    """Return the transcript of a job, after another one that recorded these."""
    keyring = Keyring(
        {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
    )
    store = SessionStore(MemoryBackend.from_settings(StoreSettings()), keyring)
    page: Any = Page()
    for _ in range(2):
        joined = await store.join(store.pseudonym("maria"))
        recorder = Recorder(store, joined.lease)
        made = Transcript(recorder, page, joined.lease, joined.turns)
        made.make_good(joined.drafts)
        if not joined.turns:
            for item in earlier:
                made.record(item)
            await recorder.flush(5)
            await store.release(joined.lease)
        await recorder.aclose()
    return made


def said(text: str, at: float, **fields: Any) -> llm.ChatMessage:
    """Return a message."""
    return llm.ChatMessage(role="user", content=[text], created_at=at, **fields)


async def test_no_turn_is_before_those_of_an_earlier_job() -> None:
    """The clock of the machine that takes over may be behind."""
    made = await transcript(said("before", 9.0))
    made.record(said("after", 5.0))
    made.record(said("later", 10.0))
    assert [each.turn.created_at for each in made.turns] == [9.0, 9.0, 10.0]


async def test_what_was_typed_is_recorded_once_whatever_its_id() -> None:
    """A realtime model adds it again under another id; the same words said later are others."""
    made = await transcript(said("before", 1.0))
    assert made.record_typed(said("yes", 2.0, id="typed"))
    assert not made.record_if_new(said("yes", 3.0, id="item"))
    assert made.record_if_new(said("yes", 4.0))
    assert [each.turn.text for each in made.turns] == ["before", "yes", "yes"]


async def test_what_says_nothing_of_the_conversation_is_not_recorded() -> None:
    """That a job begins with an agent, and how agents are configured."""
    made = await transcript(said("before", 1.0))
    assert not made.record_if_new(llm.AgentConfigUpdate(instructions="be brief"))
    assert not made.record_if_new(llm.AgentHandoff(old_agent_id=None, new_agent_id="a"))
    assert made.record_if_new(llm.AgentHandoff(old_agent_id="a", new_agent_id="b"))


async def test_an_item_that_nobody_knows_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """What LiveKit tells of without an id cannot be kept, and the conversation goes on."""
    made = await transcript(said("before", 1.0))
    assert not made.record_if_new(SimpleNamespace(type="gesture"))
    assert vars(caplog.records[0])["type"] == "gesture"


def called(call_id: str, at: float, **fields: Any) -> llm.FunctionCall:
    """Return a tool call."""
    arguments = fields.pop("arguments", "{}")
    return llm.FunctionCall(
        call_id=call_id, name="look", arguments=arguments, created_at=at, **fields
    )


def put_out(call_id: str, at: float, output: str) -> llm.FunctionCallOutput:
    """Return the output of a tool call."""
    return llm.FunctionCallOutput(
        call_id=call_id, name="look", output=output, is_error=False, created_at=at
    )


async def test_an_output_names_its_call_though_the_next_one_has_the_same_id() -> None:
    """Some models count from zero in each reply."""
    made = await transcript(said("before", 1.0))
    for number in range(2):
        assert made.record(called("call_0", 2.0 + number, id=f"call-{number}"))
        assert made.awaits_output("call_0")
        assert made.record(put_out("call_0", 2.5 + number, f"seen {number}"))
        assert not made.awaits_output("call_0")
    pairs = [
        (pair.call.turn.id, pair.output and pair.output.turn.details["output"])
        for pair in tool_pairs(made.turns)
    ]
    assert pairs == [("call-0", "seen 0"), ("call-1", "seen 1")]


async def test_an_output_that_is_too_large_is_kept_in_part() -> None:
    """With its length: the outcome of the call is known, and the model is told the beginning."""
    made = await transcript(said("before", 1.0))
    made.record(called("c", 2.0))
    assert made.record_if_new(put_out("c", 3.0, "x" * 360_000))
    details = made.turns[-1].turn.details
    kept = details["output"]
    assert isinstance(kept, str)
    assert kept.startswith("x" * 16_000)
    assert kept.endswith("[cut: 360000 characters, of which 16000 are kept]")
    assert (details["call_id"], details["cut"]) == ("c", 360_000 - len(kept))
    assert unknown_outcomes(made.turns) == []


@pytest.mark.parametrize(
    "item",
    [
        said("x" * 300_000, 2.0),
        said("x", 2.0, extra={"many": ["x"] * 300_000}),
        called("c", 2.0, arguments='{"text": "' + "x" * 300_000 + '"}'),
        said("half a \ud83d pair", 2.0),
        said("when?", float("nan")),
        said("who?", 2.0, id="x" * 500),
    ],
    ids=["long words", "many values", "arguments", "no Unicode", "no time", "a long id"],
)
async def test_whatever_cannot_be_kept_whole_is_kept_in_part(item: llm.ChatItem) -> None:
    """It never vanishes, and what is kept is an item again, of the same kind."""
    made = await transcript(said("before", 1.0))
    assert made.record_if_new(item)
    assert not made.record_if_new(item)
    again = item_of(made.turns[-1].turn)
    assert again is not None
    assert again.type == item.type
    if isinstance(again, llm.FunctionCall):
        assert json.loads(again.arguments)["cut"].startswith('{"text": "xxx')


async def test_words_that_were_cut_say_so() -> None:
    """Whoever reads them later sees that something is missing, and how much."""
    made = await transcript()
    made.record_if_new(said("word " * 60_000, 1.0))
    assert made.turns[0].turn.text.endswith("of which 16000 are kept]")
    assert made.turns[0].turn.details["cut"] == 300_000 - len(made.turns[0].turn.text)
