"""Deepgram: speech to text, and text to speech."""

from types import MappingProxyType
from typing import Final

from livekit.plugins import deepgram

from agent.pipeline_settings import NO_KEY, PipelineSettings
from agent.pipelines.base import Hearing, Speech

STT_MODEL: Final = "nova-3"
VOICES: Final = MappingProxyType(
    {
        "en": "aura-2-thalia-en",
        "es": "aura-2-celeste-es",
        "de": "aura-2-elara-de",
        "fr": "aura-2-agathe-fr",
    }
)
"""A voice for each language (https://developers.deepgram.com/docs/tts-models)."""


def hearing(settings: PipelineSettings, language: str) -> Hearing:
    """Return speech to text. It streams."""
    stt = deepgram.STT(
        model=settings.agent_stt_model or STT_MODEL,
        language=language,
        api_key=_key(settings),
        base_url=f"{settings.deepgram_url.rstrip('/')}/listen",
    )
    return Hearing(stt, lambda code: stt.update_options(language=code))


def speech(settings: PipelineSettings, language: str) -> Speech:
    """Return text to speech. Each voice speaks one language. A voice from the settings is kept."""
    chosen = settings.agent_tts_model
    tts = deepgram.TTS(
        model=chosen or _voice(language),
        api_key=_key(settings),
        base_url=f"{settings.deepgram_url.rstrip('/')}/speak",
    )
    return Speech(tts, lambda code: tts.update_options(model=chosen or _voice(code)))


def _voice(language: str) -> str:
    return VOICES.get(language, VOICES["en"])


def _key(settings: PipelineSettings) -> str:
    key = settings.deepgram_api_key
    return NO_KEY if key is None else key.get_secret_value()
