"""Puts the demo's parts together."""

from collections.abc import MutableMapping
from typing import Any, Final

from agent.pipelines.base import Pipeline, load_vad, vad_turns
from agent.pipelines.demo.espeak import engine
from agent.pipelines.demo.llm import RuleLLM
from agent.pipelines.demo.recognizer import Recognizer
from agent.pipelines.demo.stt import JsgfSTT
from agent.pipelines.demo.tts import EspeakTTS

_RECOGNIZER: Final = "demo.recognizer"


def prewarm(userdata: MutableMapping[str, Any]) -> None:
    """Load the VAD, the recognizer and the synthesiser."""
    load_vad(userdata)
    _recognizer(userdata)
    engine()


def build(userdata: MutableMapping[str, Any], language: str) -> Pipeline:
    """Return the demo's pipeline. It hears English, whatever it speaks."""
    speech = EspeakTTS(language=language)
    return Pipeline(
        stt=JsgfSTT(_recognizer(userdata)),
        llm=RuleLLM(),
        tts=speech,
        vad=load_vad(userdata),
        turn_handling=vad_turns(),
        set_language=lambda code: speech.update_options(language=code),
    )


def _recognizer(userdata: MutableMapping[str, Any]) -> Recognizer:
    if _RECOGNIZER not in userdata:
        userdata[_RECOGNIZER] = Recognizer()
    recognizer: Recognizer = userdata[_RECOGNIZER]
    return recognizer
