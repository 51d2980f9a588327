"""LiveKit Inference: every model behind the LiveKit key. Models are named `provider/model`."""

from typing import Final

from livekit.agents import inference
from livekit.agents.types import NOT_GIVEN

from agent.pipeline_settings import PipelineSettings
from agent.pipelines.base import Hearing, Speech

STT_MODEL: Final = "deepgram/nova-3"
LLM_MODEL: Final = "openai/gpt-4.1-mini"
TTS_MODEL: Final = "cartesia/sonic-3"


def hearing(settings: PipelineSettings, language: str) -> Hearing:
    """Return speech to text."""
    stt = inference.STT(settings.agent_stt_model or STT_MODEL, language=language)
    return Hearing(stt, lambda code: stt.update_options(language=code))


def thinking(settings: PipelineSettings) -> inference.LLM:
    """Return the language model."""
    return inference.LLM(settings.agent_llm_model or LLM_MODEL)


def speech(settings: PipelineSettings, language: str) -> Speech:
    """Return text to speech."""
    tts = inference.TTS(
        settings.agent_tts_model or TTS_MODEL,
        voice=settings.agent_tts_voice or NOT_GIVEN,
        language=language,
    )
    return Speech(tts, lambda code: tts.update_options(language=code))
