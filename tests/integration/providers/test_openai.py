"""The real OpenAI plugin, with the real binding and store, before a provider that may fail."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agent.welcome import words_of_welcome
from dev.rig.providers.fake_openai import CHAT, HALF, SPEECH, TRANSCRIPTIONS
from session_store.livekit import Visit
from session_store.livekit.providers import outages
from session_store.livekit.providers.answer_retry import LONGEST_PAUSE_S, backoff
from session_store.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.rig.providers.fake_openai import FakeOpenAI
    from session_store import SessionStore
    from tests.integration.providers.call import Call

NO_THOUGHT = "I can't answer right now. Your message is saved."
TOO_MANY = "One moment, please. I'm very busy right now, and will answer as soon as I can."
NO_ANSWER = "I can't answer right now. I'll keep trying, and answer as soon as I can."
DEAF = "I can't hear you right now. You can type to me."
SILENT = "I can't speak right now. You can read what I say."
OTHER_VOICE = "My usual voice isn't available right now, so you hear another one."
HELLO = words_of_welcome(Visit(1, "en", None))


@pytest_asyncio.fixture
async def begin(call: Callable[..., Any], provider: FakeOpenAI) -> Callable[..., Any]:
    """Begin calls that ask the provider for everything; return when they have greeted."""

    async def begin_one(**how: bool) -> Call:
        begun: Call = await call(
            agent_pipeline="openai",
            openai_base_url=provider.url,
            openai_api_key="sk-test",
            **how,
        )
        if begun.conversation.is_new:
            await begun.until_said(HELLO)
        return begun

    return begin_one


async def test_a_turn_goes_through(begin: Callable[[], Any], provider: FakeOpenAI) -> None:
    """What is typed is answered, spoken and saved; the key goes along."""
    call: Call = await begin()
    await call.type("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert "I heard: my cat is called Tom." in provider.spoken
    assert provider.keys == {"Bearer sk-test"}
    assert [turn.turn.text for turn in await call.saved()][1:] == [
        "my cat is called Tom",
        "I heard: my cat is called Tom.",
    ]
    assert call.notices() == []


async def test_what_is_spoken_is_transcribed(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """The voice goes to the provider, and the words that come back are the user's turn."""
    call: Call = await begin()
    provider.heard.append("my cat is called Tom")
    await call.microphone.say("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert ("user", "my cat is called Tom") in call.turns()
    assert provider.languages == ["en"]


async def test_the_history_reaches_the_provider_after_a_death(
    begin: Callable[[], Any], provider: FakeOpenAI, raw: Any
) -> None:
    """The successor's first request has what was said before."""
    first: Call = await begin()
    await first.type("my cat is called Tom")
    await first.until_said("I heard: my cat is called Tom.")
    await first.die(raw)
    second: Call = await begin()
    await second.type("what have I said?")
    await second.until_said("You said: my cat is called Tom.")
    assert provider.said_by("assistant") == [HELLO, "I heard: my cat is called Tom."]


async def test_a_tool_changes_the_language(begin: Callable[[], Any], provider: FakeOpenAI) -> None:
    """The provider calls it; from then on the user is heard in it, and told in it what fails."""
    call: Call = await begin()
    await call.type("speak Spanish, please")
    await call.until_said("It is done.")
    provider.heard.append("hola")
    await call.microphone.say("hello my friend")
    await call.until_said("I heard: hola.")
    assert provider.languages == ["es"]
    provider.refuses = {CHAT: 401}
    await call.type("¿me oyes?")
    await call.until_noticed("Ahora mismo no puedo responderte. Tu mensaje está guardado.")


@pytest.mark.usefixtures("brief_pauses")
async def test_a_refused_key_is_told_once_and_not_tried_again(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """Nothing is lost: what was said is saved, and answered with the next message that works."""
    call: Call = await begin()
    provider.refuses = {CHAT: 401}
    await call.type("my cat is called Tom")
    await call.until_noticed(NO_THOUGHT)
    await call.until_heard(1)
    await call.type("my dog is called Rex")
    # So long that several tries would have come.
    await asyncio.sleep(1)
    assert provider.count(CHAT) == 2
    assert call.notices() == [NO_THOUGHT]
    assert provider.spoken.count(NO_THOUGHT) == 1
    assert [turn.turn.text for turn in await call.saved()][1:] == [
        "my cat is called Tom",
        "my dog is called Rex",
    ]
    provider.mend()
    await call.type("what have I said?")
    await call.until_said("You said: my cat is called Tom; my dog is called Rex.")
    await call.until_noticed("")
    assert NO_THOUGHT not in str(provider.requests)


@pytest.mark.usefixtures("brief_pauses")
@pytest.mark.parametrize(
    ("status", "words"), [(429, TOO_MANY), (500, NO_ANSWER), (None, NO_ANSWER)]
)
async def test_what_passes_is_tried_again_until_the_answer_is_there(
    begin: Callable[[], Any], provider: FakeOpenAI, status: int | None, words: str
) -> None:
    """It is told once; when the provider is back, the question is answered by itself."""
    call: Call = await begin()
    await call.type("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    if status is None:
        await provider.go_away()
    else:
        provider.refuses = {CHAT: status}
    before = provider.count(CHAT)
    await call.type("what have I said?")
    await call.until_noticed(words)
    if status is not None:
        await call.stage.until(lambda: provider.count(CHAT) >= before + 8, 30)
    provider.mend()
    await provider.start()
    await call.until_said("You said: my cat is called Tom.")
    await call.until_noticed("")
    assert call.notices() == [words, ""]
    assert call.stage.job.shutdowns == []
    assert [text for role, text in call.turns() if role == "user"] == [
        "my cat is called Tom",
        "what have I said?",
    ]


async def test_a_quota_that_is_used_up_is_for_the_operator(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """OpenAI calls it a rate limit, but waiting does not help."""
    call: Call = await begin()
    provider.refuses, provider.code = {CHAT: 429}, "insufficient_quota"
    await call.type("my cat is called Tom")
    await call.until_noticed(NO_THOUGHT)


def test_later_tries_come_later() -> None:
    """Each pause is about twice the one before, up to the longest."""
    pauses_of = backoff()
    pauses = [pauses_of.next_s() for _ in range(10)]
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses[:5]))
    assert max(pauses) <= 1.25 * LONGEST_PAUSE_S < 2 * min(pauses[5:])


@pytest.mark.usefixtures("brief_pauses")
async def test_an_agent_outlives_a_provider_that_is_away(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """However often it fails, the job goes on: an end would only bring a successor that fails."""
    call: Call = await begin()
    provider.refuses = {CHAT: 500}
    for number in range(6):
        await call.type(f"question {number}")
    await call.stage.until(lambda: provider.count(CHAT) > 12, 60)
    assert call.stage.job.shutdowns == []
    provider.mend()
    await call.until_said("I heard: question 5.")
    assert provider.said_by("user") == [f"question {number}" for number in range(6)]


@pytest.mark.usefixtures("brief_pauses")
async def test_an_answer_that_breaks_off_is_given_again(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """What was said of it stays in the record, and the whole of it follows."""
    call: Call = await begin()
    cut = asyncio.Event()
    provider.cuts = [cut]
    typed = asyncio.create_task(call.type("my cat is called Tom"))
    await call.stage.until(lambda: call.stage.agent_session.agent_state == "speaking")
    cut.set()
    await call.until_said("I heard: my cat is called Tom.")
    await call.until_noticed("")
    await typed
    assert call.notices() == [NO_ANSWER, ""]
    half, whole = [text for role, text in call.turns() if role == "assistant"][1:]
    assert half.startswith("This is the first half")
    assert whole == "I heard: my cat is called Tom."


@pytest.mark.usefixtures("brief_pauses")
async def test_an_answer_that_breaks_off_each_time_is_left_at_that(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """It is begun again once; nothing is promised that is not tried."""
    call: Call = await begin()
    provider.cuts = cuts = [asyncio.Event(), asyncio.Event()]
    typed = asyncio.create_task(call.type("my cat is called Tom"))
    first = HALF.partition(". ")[0] + "."
    for number, cut in enumerate(cuts, 1):
        await call.stage.until(partial(lambda n: provider.spoken.count(first) == n, number), 30)
        await call.stage.until(lambda: call.stage.agent_session.agent_state == "speaking")
        cut.set()
    await call.stage.until(lambda: call.notices() == [NO_ANSWER, ""] * 2, 30)
    await typed
    halves = [text for role, text in call.turns() if role == "assistant" and text in HALF]
    assert len(halves) == provider.count(CHAT) == 2
    await call.type("what have I said?")
    await call.until_said("You said: my cat is called Tom.")
    assert call.stage.job.shutdowns == []


@pytest.mark.usefixtures("brief_pauses")
async def test_who_waits_in_silence_is_told_once(
    begin: Callable[[], Any], provider: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the agent retries, it says so once; a participant who talks is told again."""
    monkeypatch.setattr(outages, "TOLD_AGAIN_S", 0.2)
    call: Call = await begin()
    provider.refuses = {CHAT: 500}
    await call.type("my cat is called Tom")
    await call.stage.until(lambda: provider.spoken.count(NO_ANSWER) == 1, 30)
    before = provider.count(CHAT)
    await call.stage.until(lambda: provider.count(CHAT) >= before + 12, 60)
    assert provider.spoken.count(NO_ANSWER) == 1
    await call.type("are you there?")
    await call.stage.until(lambda: provider.spoken.count(NO_ANSWER) == 2, 30)


async def test_a_page_that_comes_back_is_told_too(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """The notice follows the hello."""
    call: Call = await begin()
    provider.refuses = {CHAT: 401}
    await call.type("my cat is called Tom")
    await call.until_noticed(NO_THOUGHT)
    room = call.stage.job.room
    shown = len(room.sent)
    room.come(call.stage.participant, "load-2")
    await call.stage.until(lambda: room.types()[shown : shown + 2] == ["hello", "notice"])


async def test_who_cannot_be_heard_is_told_to_type(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """It is shown and spoken, typing works, and so does speaking when the provider is back."""
    call: Call = await begin()
    provider.refuses = {TRANSCRIPTIONS: 500}
    await call.microphone.say("my cat is called Tom")
    await call.until_noticed(DEAF)
    await call.until_heard(1)
    assert DEAF in provider.spoken
    await call.type("my dog is called Rex")
    await call.until_said("I heard: my dog is called Rex.")
    provider.mend()
    provider.heard = ["my cat is called Tom"] * 2
    await call.microphone.say("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    await call.until_noticed("")
    assert call.stage.job.shutdowns == []


async def test_without_its_voice_the_agent_speaks_with_another(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """Answers are heard and saved all the same, until its own voice is back."""
    call: Call = await begin()
    provider.refuses = {SPEECH: 401}
    heard = call.loudspeaker.played
    await call.type("my cat is called Tom")
    await call.until_said("I heard: my cat is called Tom.")
    assert call.loudspeaker.played > heard
    await call.until_noticed(OTHER_VOICE)
    provider.mend()
    await call.type("my dog is called Rex")
    await call.until_said("I heard: my dog is called Rex.")
    await call.until_noticed("")


@pytest.mark.usefixtures("brief_pauses")
async def test_with_no_provider_at_all_it_is_still_spoken(
    begin: Callable[[], Any], provider: FakeOpenAI
) -> None:
    """The local voice says that the agent cannot think, and that is what is shown."""
    call: Call = await begin()
    await provider.go_away()
    heard = call.loudspeaker.played
    await call.type("my cat is called Tom")
    await call.until_noticed(NO_ANSWER)
    await call.until_heard(heard)
    await provider.start()
    await call.until_said("I heard: my cat is called Tom.")


@pytest.mark.usefixtures("brief_pauses")
async def test_without_any_voice_the_agent_answers_in_writing(
    begin: Callable[..., Any], provider: FakeOpenAI
) -> None:
    """Another project's agent may have no second voice; its answers are not lost for that."""
    call: Call = await begin(one_voice=True)
    provider.refuses = {SPEECH: 500}
    await call.type("my cat is called Tom")
    await call.until_noticed(SILENT)
    await call.until_said("I heard: my cat is called Tom.")
    assert call.stage.job.shutdowns == []


async def test_each_failed_attempt_is_counted(
    begin: Callable[..., Any], provider: FakeOpenAI, store: SessionStore
) -> None:
    """By what failed and why, with nothing of the conversation."""
    counted: list[tuple[str, str]] = []

    class Counting(Meter):
        def provider_failed(self, part: str, kind: str) -> None:
            counted.append((part, kind))

    store.meter = Counting()
    call: Call = await begin()
    provider.refuses = {CHAT: 429, SPEECH: 401}
    await call.type("my cat is called Tom")
    await call.until_noticed(TOO_MANY)
    await call.stage.until(lambda: ("tts", "auth") in counted)
    assert set(counted) == {("llm", "rate_limit"), ("tts", "auth")}
