"""The real Deepgram plugin beside a language model, before a provider that may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest_asyncio

from tests.integration.providers.fake_deepgram import LISTEN, SPEAK, FakeDeepgram
from tests.integration.providers.test_openai import DEAF, HELLO, OTHER_VOICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dev.rig.providers.fake_openai import FakeOpenAI
    from tests.integration.providers.call import Call


@pytest_asyncio.fixture
async def deepgram() -> AsyncIterator[FakeDeepgram]:
    """Run Deepgram, as it were."""
    async with FakeDeepgram() as server:
        yield server


@pytest_asyncio.fixture
async def begin(
    call: Callable[..., Any], provider: FakeOpenAI, deepgram: FakeDeepgram
) -> Callable[[], Any]:
    """Begin calls that Deepgram hears and speaks in; return when they have greeted."""

    async def begin_one() -> Call:
        begun: Call = await call(
            agent_pipeline="openai",
            agent_stt="deepgram",
            agent_tts="deepgram",
            openai_base_url=provider.url,
            deepgram_api_key="dg-test",
            deepgram_url=deepgram.url,
        )
        await begun.until_said(HELLO)
        return begun

    return begin_one


async def test_a_turn_goes_through(begin: Callable[[], Any], deepgram: FakeDeepgram) -> None:
    """What it hears is answered by the language model, and it speaks the answer."""
    call: Call = await begin()
    await call.microphone.say("my cat")
    await call.stage.until(lambda: bool(deepgram.ears))
    await deepgram.hear("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert "I heard: my cat is called Tom." in " ".join(deepgram.spoken)
    assert deepgram.keys == {"Token dg-test"}
    assert call.notices() == []


async def test_another_language_is_another_voice(
    begin: Callable[[], Any], deepgram: FakeDeepgram
) -> None:
    """A voice speaks one language; the ears are told, too."""
    call: Call = await begin()
    await call.microphone.say("my cat")
    await call.stage.until(lambda: bool(deepgram.ears))
    await call.type("speak Spanish, please")
    await call.until_said("It is done.")
    await call.stage.until(lambda: deepgram.listened[-1]["language"] == "es")
    assert deepgram.voices[0].endswith("-en")
    assert deepgram.voices[-1].endswith("-es")


async def test_ears_that_are_away_are_told_and_come_back(
    begin: Callable[[], Any], deepgram: FakeDeepgram
) -> None:
    """It is shown, and taken back by itself when they listen again."""
    call: Call = await begin()
    await call.microphone.say("my cat")
    await call.stage.until(lambda: bool(deepgram.ears))
    deepgram.refuses = {LISTEN: 503}
    await deepgram.ears[-1].close()
    await call.until_noticed(DEAF)
    deepgram.mend()
    await call.until_noticed("")
    await deepgram.hear("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert call.stage.job.shutdowns == []


async def test_a_voice_that_is_refused_is_replaced(
    begin: Callable[[], Any], deepgram: FakeDeepgram
) -> None:
    """The answer is heard in the local voice."""
    call: Call = await begin()
    await call.pipeline.fronted[0]._pool.aclose()  # type: ignore[attr-defined]
    deepgram.refuses = {SPEAK: 401}
    heard = call.loudspeaker.played
    await call.type("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert call.loudspeaker.played > heard
    await call.until_noticed(OTHER_VOICE)
