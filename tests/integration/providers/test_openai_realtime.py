"""The real realtime plugin, with the real binding and store, before a provider that may fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agent.pipelines.cloud import openai_realtime
from dev.rig.net import NET_S
from tests.integration.providers.fake_realtime import REALTIME, FakeRealtime
from tests.integration.providers.test_openai import HELLO, NO_ANSWER, NO_THOUGHT, TOO_MANY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.integration.providers.call import Call

pytestmark = pytest.mark.usefixtures("brief_pauses")


@pytest_asyncio.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeRealtime]:
    """Run the provider; an agent that cannot connect tries again soon."""
    monkeypatch.setattr(openai_realtime, "LONGEST_PAUSE_S", 0.3)
    async with FakeRealtime() as server:
        yield server


@pytest_asyncio.fixture
async def begin(call: Callable[..., Any], provider: FakeRealtime) -> Callable[[], Any]:
    """Begin calls; return when they have greeted."""

    async def begin_one() -> Call:
        begun: Call = await call(
            agent_pipeline="openai-realtime",
            openai_base_url=provider.url,
            openai_api_key="sk-test",
        )
        if begun.conversation.is_new:
            await begun.until_said(HELLO)
        return begun

    return begin_one


async def test_a_turn_goes_through(begin: Callable[[], Any], provider: FakeRealtime) -> None:
    """What is heard and what is typed is answered, and saved."""
    call: Call = await begin()
    await provider.sessions[-1].hear("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    await call.type("my dog is called Rex")
    await call.until_said("I heard: my dog is called Rex.")
    assert [turn.turn.text for turn in await call.saved()] == [
        HELLO,
        "my cat is called Tom",
        "I heard: my cat is called Tom.",
        "my dog is called Rex",
        "I heard: my dog is called Rex.",
    ]
    assert provider.keys == {"Bearer sk-test"}
    assert call.notices() == []


async def test_the_history_reaches_the_provider_after_a_death(
    begin: Callable[[], Any], provider: FakeRealtime, raw: Any
) -> None:
    """The successor's session begins with what was said before."""
    first: Call = await begin()
    await provider.sessions[-1].hear("my cat is called Tom")
    await first.until_said("I heard: my cat is called Tom.")
    await first.die(raw)
    second: Call = await begin()
    await second.stage.until(lambda: len(provider.sessions[-1].said()) >= 3)
    assert provider.sessions[-1].said() == [
        ("assistant", HELLO),
        ("user", "my cat is called Tom"),
        ("assistant", "I heard: my cat is called Tom."),
    ]
    await provider.sessions[-1].hear("what have I said?")
    await second.until_said("You said: my cat is called Tom.")


async def test_another_language_reaches_the_provider(
    begin: Callable[[], Any], provider: FakeRealtime
) -> None:
    """The model speaks as it is told to, so it is told."""
    call: Call = await begin()
    conversation = call.conversation
    call.pipeline.set_language("es")
    conversation.change(lambda content: content.model_copy(update={"language": "es"}))
    session = provider.sessions[-1]
    await call.stage.until(lambda: "Answer in Spanish" in session.settings["instructions"])


async def test_a_connection_that_is_lost_for_a_moment_is_not_told(
    begin: Callable[[], Any], provider: FakeRealtime
) -> None:
    """The next session gets the conversation again, and goes on."""
    call: Call = await begin()
    await provider.sessions[-1].hear("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    await provider.drop()
    await call.stage.until(lambda: len(provider.sessions) == 2)
    await call.stage.until(lambda: len(provider.sessions[-1].said()) >= 3)
    await provider.sessions[-1].hear("what have I said?")
    await call.until_said("You said: my cat is called Tom.")
    assert call.notices() == []


async def test_who_talks_through_an_outage_is_answered_after_it(
    begin: Callable[[], Any], provider: FakeRealtime
) -> None:
    """It is told in the local voice; what was typed is saved, and answered by itself."""
    call: Call = await begin()
    await provider.sessions[-1].hear("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    heard = call.loudspeaker.played
    await provider.go_away()
    await call.until_noticed(NO_ANSWER)
    await call.until_heard(heard)
    assert not call.hears()
    await call.type("what have I said?")
    assert [turn.turn.text for turn in await call.saved()][-1] == "what have I said?"
    await provider.start()
    await call.until_said("You said: my cat is called Tom.")
    await call.until_noticed("")
    assert call.notices() == [NO_ANSWER, ""]
    assert call.hears()
    assert call.stage.job.shutdowns == []


@pytest.mark.parametrize(
    ("code", "words"), [("rate_limit_exceeded", TOO_MANY), ("server_error", NO_ANSWER)]
)
async def test_a_response_that_fails_is_asked_for_again(
    begin: Callable[[], Any], provider: FakeRealtime, code: str, words: str
) -> None:
    """The session stays; the answer comes when the provider gives one."""
    call: Call = await begin()
    provider.fails_with = code
    await call.type("my cat is called Tom")
    await call.until_noticed(words)
    provider.mend()
    await call.until_said("I heard: my cat is called Tom.")
    await call.until_noticed("")
    assert len(provider.sessions) == 1


@pytest.mark.parametrize("where", ["at the door", "inside"])
async def test_a_refused_key_ends_no_agent(
    begin: Callable[[], Any], provider: FakeRealtime, where: str
) -> None:
    """It is told; connections are tried less and less often, and one that holds is used."""
    call: Call = await begin()
    if where == "inside":
        provider.turns_away_with = "invalid_api_key"
    else:
        provider.refuses = {REALTIME: 401}
    await provider.drop()
    await call.until_noticed(NO_THOUGHT)
    tries = provider.count(REALTIME)
    await call.stage.until(lambda: provider.count(REALTIME) > tries + 2)
    assert call.stage.job.shutdowns == []
    assert call.notices() == [NO_THOUGHT]
    provider.mend()
    await call.until_noticed("")
    await call.type("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert provider.sessions[-1].said()[:2] == [
        ("assistant", HELLO),
        ("user", "my cat is called Tom"),
    ]


async def test_a_job_may_end_while_its_provider_is_away(
    begin: Callable[[], Any], provider: FakeRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the next attempt."""
    call: Call = await begin()
    monkeypatch.setattr(openai_realtime, "LONGEST_PAUSE_S", 300.0)
    provider.refuses = {REALTIME: 503}
    await provider.drop()
    await call.stage.until(lambda: provider.count(REALTIME) > 3)
    async with asyncio.timeout(NET_S):
        await call.stage.agent_session.aclose()
