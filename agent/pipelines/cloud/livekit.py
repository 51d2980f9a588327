"""LiveKit Inference: every model behind the LiveKit key.

Other models by environment, as `provider/model`: `AGENT_STT_MODEL`, `AGENT_LLM_MODEL`,
`AGENT_TTS_MODEL`.
"""

import os
from collections.abc import MutableMapping
from typing import Any

from livekit.agents import inference

from agent.pipelines.base import Pipeline, load_vad


def prewarm(userdata: MutableMapping[str, Any]) -> None:
    """Load the VAD."""
    load_vad(userdata)


def build(userdata: MutableMapping[str, Any], language: str) -> Pipeline:
    """Return the pipeline, with LiveKit's own turn detector."""
    hearing = inference.STT(os.environ.get("AGENT_STT_MODEL", "deepgram/nova-3"), language=language)
    speech = inference.TTS(os.environ.get("AGENT_TTS_MODEL", "cartesia/sonic-3"), language=language)

    def set_language(code: str) -> None:
        hearing.update_options(language=code)
        speech.update_options(language=code)

    return Pipeline(
        stt=hearing,
        llm=inference.LLM(os.environ.get("AGENT_LLM_MODEL", "openai/gpt-4.1-mini")),
        tts=speech,
        vad=load_vad(userdata),
        turn_handling={},
        set_language=set_language,
    )
