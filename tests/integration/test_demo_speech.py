"""The demo's voice and ear: espeak-ng speaks, pocketsphinx hears, and says when it did not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from livekit import rtc

from demo_models import grammar
from demo_models.recognizer import SAMPLE_RATE, Recognizer
from demo_models.stt import INAUDIBLE, JsgfSTT
from demo_models.tts import EspeakTTS
from dev.rig.net import NET_S

HEARD = [
    "My name is Maria",
    "My name is Tom",
    "I am Maria",
    "Call me Maria",
    "My name is Robert",
    "My name is Anna",
    "What is my name?",
    "Who am I?",
    "Remember that my cat is called Tom",
    "Please remember that I live in Berlin",
    "Remember that I like chocolate",
    "Remember that the key is under the mat",
    "What did I ask you to remember?",
    "What do you know about me?",
    "What did we talk about?",
    "How often was I here?",
    "Speak Spanish",
    "Speak German please",
    "Forget me",
    "Remember that my favorite color is blue",
    "Remember that I have a meeting on Friday at ten",
    "Don't forget that my sister lives in Paris",
    "Yes please",
    "Yes",
    "No",
    "Hello",
    "Stop",
    "Thank you",
    "Goodbye",
]

NOT_UNDERSTOOD = [
    "The weather in London is terrible today",
    "Can you book me a table for two at eight",
    "I would like to order a large pepperoni pizza",
    "What time does the train leave tomorrow",
    "My computer is broken and I need a new one",
    "Turn off the lights in the kitchen",
    "She sells sea shells by the sea shore",
    "What is the capital of France",
    "Nobody knows the trouble I have seen",
    "What is your favorite movie",
    "Stock prices fell sharply on Monday",
    "The quick brown fox jumps over the lazy dog",
]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    """One recognizer for all tests: it takes a while to build and keeps nothing between calls."""
    return Recognizer()


async def speak(text: str, language: str = "en") -> rtc.AudioFrame:
    """Return `text` as espeak-ng says it."""
    return await EspeakTTS(language=language).synthesize(text).collect()


async def hear(recognizer: Recognizer, audio: rtc.AudioFrame) -> str:
    """Return what the STT makes of `audio`."""
    async with JsgfSTT(recognizer) as stt:
        event = await stt.recognize(audio)
    return event.alternatives[0].text


def frame(samples: npt.NDArray[Any]) -> rtc.AudioFrame:
    """Wrap mono samples."""
    return rtc.AudioFrame(samples.astype(np.int16).tobytes(), SAMPLE_RATE, 1, len(samples))


@pytest.mark.parametrize("text", HEARD)
async def test_a_sentence_of_the_grammar_is_heard_word_for_word(
    text: str, recognizer: Recognizer
) -> None:
    """What espeak says is transcribed exactly, with capital letters and question marks."""
    assert await hear(recognizer, await speak(text)) == text


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
async def test_speech_outside_the_grammar_is_inaudible(text: str, recognizer: Recognizer) -> None:
    """No other sentence is bent into one that is known."""
    assert await hear(recognizer, await speak(text)) == INAUDIBLE


@pytest.mark.parametrize("amplitude", [0, 3, 300, 3000, 20_000])
async def test_noise_and_silence_are_inaudible(amplitude: int, recognizer: Recognizer) -> None:
    """Two seconds of noise at any loudness are no words."""
    noise = np.random.default_rng(1).uniform(-amplitude, amplitude, 2 * SAMPLE_RATE)
    assert await hear(recognizer, frame(noise)) == INAUDIBLE


@pytest.mark.parametrize("samples", [1, 160, 1600])
async def test_a_click_is_inaudible(samples: int, recognizer: Recognizer) -> None:
    """A tenth of a second is no word, and the shortest frame is no error."""
    assert await hear(recognizer, frame(np.full(samples, 8000))) == INAUDIBLE


async def test_hearing_does_not_depend_on_what_was_heard_before(recognizer: Recognizer) -> None:
    """The same audio gives the same text after loud noise as before."""
    audio = await speak("What is my name")
    before = await hear(recognizer, audio)
    await hear(recognizer, frame(np.random.default_rng(2).uniform(-9000, 9000, SAMPLE_RATE)))
    assert before == await hear(recognizer, audio) == "What is my name?"


async def test_stereo_at_another_rate_is_heard(recognizer: Recognizer) -> None:
    """The STT brings any audio to what its model was made for."""
    mono = await speak("Thank you")
    resampler = rtc.AudioResampler(mono.sample_rate, 48_000)
    parts = [*resampler.push(mono), *resampler.flush()]
    samples = np.concatenate([np.frombuffer(part.data, np.int16) for part in parts])
    stereo = np.repeat(samples, 2).tobytes()
    audio = rtc.AudioFrame(stereo, 48_000, 2, len(samples))
    assert await hear(recognizer, audio) == "Thank you"


def test_every_word_of_the_grammar_can_be_pronounced() -> None:
    """A word that the model cannot pronounce stops the build and is named."""
    with pytest.raises(ValueError, match="maria"):
        grammar.build(lambda word: None if word == "maria" else "AH")


@pytest.mark.parametrize(
    ("hypothesis", "text"),
    [
        ("my name is maria", "My name is Maria"),
        ("i'm tom", "I'm Tom"),
        ("what did i tell you", "What did I tell you?"),
        ("don't forget that i live in new york", "Don't forget that I live in New York"),
        ("other_banana", None),
        ("my name is other_not", None),
        ("", None),
    ],
)
def test_transcripts_are_written_as_people_write(hypothesis: str, text: str | None) -> None:
    """Names and sentences begin with capital letters; a decoy is no transcript."""
    assert grammar.transcript(hypothesis) == text


@pytest.mark.parametrize("language", ["en", "es", "de", "fr"])
async def test_every_language_has_a_voice(language: str) -> None:
    """Each language speaks, in mono at the announced rate, and not as the others do."""
    text = "Hotel Berlin, 21"
    audio = await speak(text, language)
    assert (audio.sample_rate, audio.num_channels) == (EspeakTTS().sample_rate, 1)
    assert 0.5 < audio.duration < 5
    assert np.abs(np.frombuffer(audio.data, np.int16)).max() > 1000
    if language != "en":
        assert abs(audio.duration - (await speak(text)).duration) > 0.02


async def test_the_language_changes_between_sentences() -> None:
    """`update_options` applies to the next sentence, not to one that was begun before."""
    voice = EspeakTTS()
    begun = voice.synthesize("Hotel Berlin, 21")
    voice.update_options(language="de")
    after = await voice.synthesize("Hotel Berlin, 21").collect()
    english, german = await speak("Hotel Berlin, 21"), await speak("Hotel Berlin, 21", "de")
    assert abs(english.duration - german.duration) > 0.1
    assert (await begun.collect()).duration == pytest.approx(english.duration, abs=0.01)
    assert after.duration == pytest.approx(german.duration, abs=0.01)


def test_an_unknown_language_has_no_voice() -> None:
    """A language without a voice is refused, and the one before stays."""
    voice = EspeakTTS(language="fr")
    with pytest.raises(ValueError, match="'xx'"):
        voice.update_options(language="xx")
    assert voice.language == "fr"


@pytest.mark.parametrize("text", ["🙂", "—", "...", "\0", "\u200b", "<>", "李", "\ud800"])
async def test_text_without_sound_is_short_silence(text: str) -> None:
    """What cannot be spoken neither hangs nor fails."""
    audio = await asyncio.wait_for(speak(text), NET_S)
    assert audio.duration > 0


async def test_many_voices_at_once_do_not_mix() -> None:
    """Sentences that are synthesised together last as long as they do alone."""
    wanted = [("One two three", "en"), ("Uno dos tres, cuatro", "es"), ("Eins zwei", "de")]
    alone = [(await speak(*sentence)).duration for sentence in wanted]
    assert len({round(duration, 1) for duration in alone}) == len(alone)
    together = await asyncio.gather(*(speak(*sentence) for sentence in wanted * 3))
    assert [audio.duration for audio in together] == pytest.approx(alone * 3, abs=0.01)


async def test_a_cancelled_sentence_leaves_the_voice_free() -> None:
    """Interrupting a long text stops its synthesis; the next sentence does not wait for it."""
    words = "Many words, again and again. "
    start = time.perf_counter()
    await speak(words * 200)
    whole_s = time.perf_counter() - start
    stream = EspeakTTS().synthesize(words * 4000)
    await anext(aiter(stream))
    await stream.aclose()
    start = time.perf_counter()
    assert (await speak("Hello")).duration > 0
    # Had it gone on, it would have been twenty times as long.
    assert time.perf_counter() - start < 5 * whole_s


async def test_the_event_loop_keeps_running(recognizer: Recognizer) -> None:
    """Neither hearing nor speaking blocks the loop: a ticker never waits for long.

    What blocks it does so each time; a busy machine does not.
    """
    audio = await speak("Remember that my cat is called Tom")
    for _ in range(5):
        share = await longest_wait(recognizer, audio)
        if share < 1 / 3:
            break
    assert share < 1 / 3


async def longest_wait(recognizer: Recognizer, audio: rtc.AudioFrame) -> float:
    """Hear and speak; return the longest wait of a ticker meanwhile, as a share of the time."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before)

    ticker = asyncio.create_task(tick())
    start = time.perf_counter()
    await asyncio.gather(*(hear(recognizer, audio) for _ in range(3)), speak("Hello. " * 200))
    busy = time.perf_counter() - start
    ticker.cancel()
    return longest / busy
