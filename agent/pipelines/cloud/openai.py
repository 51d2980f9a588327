"""OpenAI, with `OPENAI_API_KEY`.

Other models by environment: `AGENT_STT_MODEL`, `AGENT_LLM_MODEL`, `AGENT_TTS_MODEL`.
"""

import os
from collections.abc import MutableMapping
from typing import Any

from livekit.plugins import openai

from agent.pipelines.base import Pipeline, load_vad, vad_turns


def prewarm(userdata: MutableMapping[str, Any]) -> None:
    """Load the VAD."""
    load_vad(userdata)


def build(userdata: MutableMapping[str, Any], language: str) -> Pipeline:
    """Return the pipeline. The voice speaks whatever language the text is in."""
    hearing = openai.STT(
        model=os.environ.get("AGENT_STT_MODEL", "gpt-4o-mini-transcribe"), language=language
    )
    return Pipeline(
        stt=hearing,
        llm=openai.LLM(model=os.environ.get("AGENT_LLM_MODEL", "gpt-4.1-mini")),
        tts=openai.TTS(model=os.environ.get("AGENT_TTS_MODEL", "gpt-4o-mini-tts")),
        vad=load_vad(userdata),
        turn_handling=vad_turns(),
        set_language=lambda code: hearing.update_options(language=code),
    )
