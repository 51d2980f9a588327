"""Pipelines, as the settings name them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from livekit.agents import AgentSession, tts
from pydantic import ValidationError

from agent import pipelines
from agent.pipeline_settings import NO_KEY, PipelineSettings
from demo_models.stt import JsgfSTT
from demo_models.tts import EspeakTTS
from session_store.settings import explain

KEYS = {"openai_api_key": "sk-test", "deepgram_api_key": "dg-test"}


@pytest.fixture(scope="module")
def userdata() -> dict[str, Any]:
    """What a warm process keeps."""
    kept: dict[str, Any] = {}
    pipelines.prewarm(PipelineSettings(agent_pipeline="demo"), kept)
    return kept


def settings_of(**values: Any) -> PipelineSettings:
    """Return settings, whatever the environment says."""
    return PipelineSettings.model_validate(values)


@pytest.mark.parametrize("name", ["demo", "livekit", "openai", "openai-realtime"])
async def test_each_pipeline_is_built_without_a_call(
    name: str, userdata: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its keys each makes an agent session, and changes its language."""
    for key in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(key, "test" * 10)
    settings = settings_of(agent_pipeline=name, agent_llm_model="openai/other", **KEYS)
    pipelines.prewarm(settings, userdata)
    pipeline = pipelines.build(settings, userdata, "en")
    session: AgentSession[Any] = AgentSession(**pipeline.session_options())
    assert session.llm is pipeline.llm
    assert name == "demo" or pipeline.llm.model == "openai/other"
    assert (pipeline.tts is None) == (name == "openai-realtime")
    pipeline.set_language("de")
    assert isinstance(pipeline.spare_voice, EspeakTTS)
    assert pipeline.spare_voice.language == "de"


@pytest.mark.parametrize("hears", ["demo", "livekit", "openai", "deepgram"])
@pytest.mark.parametrize("speaks", ["demo", "livekit", "openai", "deepgram"])
async def test_anybody_may_hear_and_speak(
    hears: str, speaks: str, userdata: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ears and voice are chosen apart from the language model; only a voice from afar is backed."""
    for key in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(key, "test" * 10)
    settings = settings_of(agent_pipeline="openai", agent_stt=hears, agent_tts=speaks, **KEYS)
    pipeline = pipelines.build(settings, userdata, "en")
    pipeline.set_language("fr")
    assert isinstance(pipeline.stt, JsgfSTT) == (hears == "demo")
    assert isinstance(pipeline.tts, tts.FallbackAdapter) == (speaks != "demo")
    assert len(pipeline.fronted) == (speaks != "demo")


async def test_a_server_of_ones_own_needs_no_key(userdata: dict[str, Any]) -> None:
    """Ollama for words, the demo's ears and voice: nothing leaves the machine."""
    settings = settings_of(
        agent_pipeline="openai",
        agent_stt="demo",
        agent_tts="demo",
        agent_llm_model="llama3.2",
        openai_base_url="http://127.0.0.1:11434/v1",
    )
    pipeline = pipelines.build(settings, userdata, "en")
    assert pipeline.llm.model == "llama3.2"
    assert pipeline.llm.provider == "127.0.0.1:11434"


def test_the_key_of_one_server_is_never_sent_to_the_other() -> None:
    """Words and speech may be of two servers."""
    settings = settings_of(
        agent_pipeline="openai",
        openai_api_key="sk-test",
        agent_speech_url="http://127.0.0.1:8000/v1",
    )
    assert settings.language_server == (None, "sk-test")
    assert settings.speech_server == ("http://127.0.0.1:8000/v1", NO_KEY)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"agent_pipeline": "openai"}, "OPENAI_API_KEY: OpenAI needs"),
        ({"agent_pipeline": "openai-realtime"}, "OPENAI_API_KEY: OpenAI needs"),
        ({"agent_stt": "openai"}, "OPENAI_API_KEY: OpenAI needs"),
        ({"agent_tts": "deepgram"}, "DEEPGRAM_API_KEY: Deepgram hears"),
        (
            {"agent_pipeline": "openai-realtime", "agent_tts": "demo", **KEYS},
            "openai-realtime hears and speaks itself",
        ),
        ({"agent_pipeline": "opneai"}, "AGENT_PIPELINE: Input should be 'demo', 'livekit'"),
    ],
)
def test_what_is_missing_is_named(values: dict[str, Any], says: str) -> None:
    """Before anything starts, and without the values, which may be secrets."""
    with pytest.raises(ValidationError) as refused:
        settings_of(**values)
    assert says in explain(refused.value)
    assert "sk-test" not in explain(refused.value)


@pytest.mark.parametrize(
    ("values", "module"),
    [({"agent_pipeline": "openai"}, "openai"), ({"agent_stt": "deepgram"}, "deepgram")],
)
def test_a_missing_package_names_its_group(
    values: dict[str, Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the plugin, the error says what to install."""
    monkeypatch.delitem(sys.modules, f"agent.pipelines.cloud.{module}", raising=False)
    monkeypatch.setitem(sys.modules, f"livekit.plugins.{module}", None)
    # Where another test has loaded the plugin, its package knows it.
    monkeypatch.delattr(f"livekit.plugins.{module}", raising=False)
    command = f"pip install --group agent --group {module}"
    with pytest.raises(ImportError, match=command):
        pipelines.check(settings_of(**values, **KEYS))
