"""What is recorded of a conversation's items, and under which time."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit.agents import llm

from session_store import Keyring, Recorder, SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.livekit.job.transcript import Transcript

if TYPE_CHECKING:
    import pytest

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
