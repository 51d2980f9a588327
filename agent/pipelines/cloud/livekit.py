"""LiveKit Inference: all models with the LiveKit key. Models are named `provider/model`."""

from functools import partial
from typing import Any, Final

import aiohttp
from livekit.agents import APIConnectionError, inference
from livekit.agents.types import NOT_GIVEN
from typing_extensions import override

from agent.pipeline_settings import PipelineSettings
from agent.pipelines.base import Hearing, Speech

STT_MODEL: Final = "deepgram/nova-3"
LLM_MODEL: Final = "openai/gpt-4.1-mini"
TTS_MODEL: Final = "cartesia/sonic-3"


class HearsAgain(inference.STT):
    """LiveKit's speech to text. Its streams start again after every lost connection.

    An agent session restarts a stream only after an ``APIError``, and is deaf after any other
    error. A connection that is reset in its handshake raises an error of aiohttp instead.
    """

    @override
    def stream(self, **options: Any) -> inference.stt.SpeechStream:
        stream = super().stream(**options)
        # The stream's task, which calls this, begins in the next tick.
        setattr(stream, "_run", partial(_run, stream._run))  # noqa: B010, SLF001 (there is no other way in)
        return stream


async def _run(run: Any) -> None:
    try:
        await run()
    except (aiohttp.ClientError, OSError) as error:
        raise APIConnectionError("the connection to LiveKit Inference was lost") from error


def hearing(settings: PipelineSettings, language: str) -> Hearing:
    """Return speech to text."""
    stt = HearsAgain(settings.agent_stt_model or STT_MODEL, language=language)
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
