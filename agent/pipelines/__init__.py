"""The models with which an agent hears, thinks and speaks, by the names in the settings.

- `demo`: everything runs locally, without a key or an account.
- `livekit`: LiveKit Inference, which needs only the LiveKit key.
- `openai`: OpenAI, or a server with the same API.
- `openai-realtime`: one OpenAI model that hears and speaks.

`AGENT_STT` and `AGENT_TTS` choose another provider to hear or to speak.
"""

from collections.abc import MutableMapping
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any, Final

from livekit.agents import tts

from agent.pipeline_settings import PipelineSettings
from agent.pipelines.base import Hearing, Pipeline, SetLanguage, Speech, load_vad, vad_turns

__all__ = ["Pipeline", "build", "prewarm"]

_MODULES: Final = MappingProxyType(
    {
        "demo": "agent.pipelines.demo",
        "livekit": "agent.pipelines.cloud.livekit",
        "openai": "agent.pipelines.cloud.openai",
        "openai-realtime": "agent.pipelines.cloud.openai_realtime",
        "deepgram": "agent.pipelines.cloud.deepgram",
    }
)
_GROUPS: Final = MappingProxyType(
    {
        "demo": ("agent",),
        "livekit": ("agent",),
        "openai": ("agent", "openai"),
        "openai-realtime": ("agent", "openai"),
        "deepgram": ("agent", "deepgram"),
    }
)
"""The groups of `pyproject.toml` that a module needs."""


def prewarm(settings: PipelineSettings, userdata: MutableMapping[str, Any]) -> None:
    """Load slow models into `userdata`: call it in `setup_fnc`, with `proc.userdata`.

    Args:
        settings: The choice of models.
        userdata: Kept by the process. `build` takes loaded models from it.

    Raises:
        ImportError: A package is missing; the message names the group that has it.
    """
    check(settings)
    # Every pipeline has this voice: it speaks when the other providers fail.
    _module("demo").prewarm_speech()
    if settings.hears is not None:
        load_vad(userdata)
    if settings.hears == "demo":
        _module("demo").prewarm_hearing(userdata)


def check(settings: PipelineSettings) -> None:
    """Import the packages of all chosen models.

    Raises:
        ImportError: A package is missing; the message names the group that has it.
    """
    for name in {settings.agent_pipeline, settings.hears, settings.speaks} - {None}:
        _module(str(name))


def build(
    settings: PipelineSettings, userdata: MutableMapping[str, Any], language: str
) -> Pipeline:
    """Return a new pipeline for one agent session.

    Args:
        settings: The choice of models.
        userdata: As `prewarm` filled it. Models that are missing there are loaded now.
        language: The first language, for example `en`.

    Raises:
        ValueError: The pipeline does not speak that language.
        ImportError: A package is missing; the message names the group that has it.
    """
    spare: Speech = _module("demo").spare_voice(language)
    if settings.agent_pipeline == "openai-realtime":
        return Pipeline(
            stt=None,
            llm=_module(settings.agent_pipeline).model(settings),
            tts=None,
            vad=None,
            turn_handling={},
            set_language=spare.set_language,
            spare_voice=spare.tts,
        )
    hearing = _hearing(settings, userdata, language)
    speech = _speech(settings, language)
    voice, fronted = _with_spare(speech, spare)
    return Pipeline(
        stt=hearing.stt,
        llm=_thinking(settings),
        tts=voice,
        vad=load_vad(userdata),
        turn_handling={} if settings.agent_pipeline == "livekit" else vad_turns(),
        set_language=_all(hearing.set_language, speech.set_language, spare.set_language),
        spare_voice=spare.tts,
        fronted=fronted,
        llm_timeout_s=settings.agent_llm_timeout_s,
    )


def _hearing(
    settings: PipelineSettings, userdata: MutableMapping[str, Any], language: str
) -> Hearing:
    module = _module(settings.hears or "demo")
    hearing: Hearing = (
        module.hearing(userdata) if settings.hears == "demo" else module.hearing(settings, language)
    )
    return hearing


def _thinking(settings: PipelineSettings) -> Any:
    module = _module(settings.agent_pipeline)
    return module.thinking() if settings.agent_pipeline == "demo" else module.thinking(settings)


def _speech(settings: PipelineSettings, language: str) -> Speech:
    module = _module(settings.speaks or "demo")
    speech: Speech = (
        module.speech(language) if settings.speaks == "demo" else module.speech(settings, language)
    )
    return speech


def _with_spare(speech: Speech, spare: Speech) -> tuple[tts.TTS[Any], tuple[tts.TTS[Any], ...]]:
    """Put the spare voice behind a voice that may fail.

    Returns:
        The voice to use, and the voices that are hidden behind its fallback.
    """
    if speech.is_local:
        return speech.tts, ()
    return tts.FallbackAdapter([speech.tts, spare.tts], max_retry_per_tts=1), (speech.tts,)


def _all(*changes: SetLanguage) -> SetLanguage:
    def set_language(code: str) -> None:
        for change in changes:
            change(code)

    return set_language


def _module(name: str) -> ModuleType:
    try:
        return import_module(_MODULES[name])
    except ImportError as error:
        missing = error.name or ""
        if missing.split(".")[0] == "agent":
            raise
        groups = " ".join(f"--group {group}" for group in _GROUPS[name])
        raise ImportError(
            f"{name!r} needs {missing!r}: run pip install {groups} in the checkout of Rejoin",
            name=missing,
        ) from error
