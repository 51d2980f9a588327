"""OpenAI, or any server with the same API: Ollama, vLLM, speaches."""

from typing import Final

from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai

from agent.pipeline_settings import PipelineSettings
from agent.pipelines.base import Hearing, Speech

STT_MODEL: Final = "gpt-4o-mini-transcribe"
LLM_MODEL: Final = "gpt-4.1-mini"
TTS_MODEL: Final = "gpt-4o-mini-tts"
VOICE: Final = "ash"


def hearing(settings: PipelineSettings, language: str) -> Hearing:
    """Return speech to text. It does not stream: there is one request per utterance."""
    url, key = settings.speech_server
    stt = openai.STT(
        model=settings.agent_stt_model or STT_MODEL,
        language=language,
        base_url=url or NOT_GIVEN,
        api_key=key,
    )
    return Hearing(stt, lambda code: stt.update_options(language=code))


def thinking(settings: PipelineSettings) -> openai.LLM:
    """Return the language model."""
    url, key = settings.language_server
    return openai.LLM(
        model=settings.agent_llm_model or LLM_MODEL, base_url=url or NOT_GIVEN, api_key=key
    )


def speech(settings: PipelineSettings, _language: str) -> Speech:
    """Return text to speech. The voice speaks the language of the text."""
    url, key = settings.speech_server
    tts = openai.TTS(
        model=settings.agent_tts_model or TTS_MODEL,
        voice=settings.agent_tts_voice or VOICE,
        base_url=url or NOT_GIVEN,
        api_key=key,
    )
    return Speech(tts, lambda _: None)
