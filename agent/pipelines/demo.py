"""The demo models as parts of a pipeline."""

from collections.abc import MutableMapping
from typing import Any, Final

from agent.pipelines.base import Hearing, Speech
from demo_models.espeak import VOICES, engine
from demo_models.llm import RuleLLM
from demo_models.phrases import DEFAULT_LANGUAGE
from demo_models.recognizer import Recognizer
from demo_models.stt import JsgfSTT
from demo_models.tts import EspeakTTS

_RECOGNIZER: Final = "demo.recognizer"


def prewarm_hearing(userdata: MutableMapping[str, Any]) -> None:
    """Load the recognizer."""
    _recognizer(userdata)


def prewarm_speech() -> None:
    """Load the synthesiser."""
    engine()


def hearing(userdata: MutableMapping[str, Any]) -> Hearing:
    """Return speech to text. It understands only English, in every language setting."""
    return Hearing(JsgfSTT(_recognizer(userdata)), lambda _: None)


def thinking() -> RuleLLM:
    """Return the language model."""
    return RuleLLM()


def speech(language: str) -> Speech:
    """Return text to speech.

    Raises:
        ValueError: The voice does not speak that language.
    """
    tts = EspeakTTS(language=language)
    return Speech(tts, lambda code: tts.update_options(language=code), is_local=True)


def spare_voice(language: str) -> Speech:
    """Return text to speech that falls back to English for a language that it does not know."""
    tts = EspeakTTS(language=_known(language))
    return Speech(tts, lambda code: tts.update_options(language=_known(code)), is_local=True)


def _known(language: str) -> str:
    return language if language in VOICES else DEFAULT_LANGUAGE


def _recognizer(userdata: MutableMapping[str, Any]) -> Recognizer:
    if _RECOGNIZER not in userdata:
        userdata[_RECOGNIZER] = Recognizer()
    recognizer: Recognizer = userdata[_RECOGNIZER]
    return recognizer
