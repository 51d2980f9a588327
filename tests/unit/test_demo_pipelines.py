"""Pipelines by name, and the demo's, put together."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from livekit.agents import AgentSession

from agent import pipelines
from agent.pipelines.demo.recognizer import Recognizer
from agent.pipelines.demo.tts import EspeakTTS


@pytest.fixture(scope="module")
def userdata() -> dict[str, Any]:
    """What a warm process keeps."""
    kept: dict[str, Any] = {}
    pipelines.prewarm("demo", kept)
    return kept


def test_an_unknown_pipeline_is_refused() -> None:
    """The error names the pipelines that there are."""
    with pytest.raises(ValueError, match="'dmeo'; there are demo, livekit, openai"):
        pipelines.prewarm("dmeo", {})
    with pytest.raises(ValueError, match="'dmeo'; there are demo, livekit, openai"):
        pipelines.build("dmeo", {}, "en")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plugin, the error says what to install."""
    monkeypatch.delitem(sys.modules, "agent.pipelines.cloud.openai", raising=False)
    monkeypatch.setitem(sys.modules, "livekit.plugins.openai", None)
    # Where another test has loaded the plugin, its package knows it.
    monkeypatch.delattr("livekit.plugins.openai", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'rejoin\[agent,openai\]'"):
        pipelines.prewarm("openai", {})


def test_warm_parts_are_shared(userdata: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A session finds what its process has loaded, and loads nothing slow itself."""
    monkeypatch.setattr(Recognizer, "__init__", lambda _: pytest.fail("built again"))
    first = pipelines.build("demo", userdata, "en")
    second = pipelines.build("demo", userdata, "de")
    assert first.vad is second.vad
    assert first.tts is not second.tts


async def test_the_demo_session_asks_no_cloud(userdata: dict[str, Any]) -> None:
    """The demo's turns and interruptions are decided by the local VAD alone."""
    pipeline = pipelines.build("demo", userdata, "en")
    agent_session: AgentSession[None] = AgentSession(**pipeline.session_options())
    assert agent_session.stt is pipeline.stt
    assert agent_session.llm is pipeline.llm
    assert agent_session.tts is pipeline.tts
    assert agent_session.vad is pipeline.vad
    assert agent_session.turn_detection == "vad"
    assert agent_session.options.interruption["mode"] == "vad"


def test_the_language_reaches_the_voice(userdata: dict[str, Any]) -> None:
    """A pipeline begins in the language it was built for and follows a change."""
    pipeline = pipelines.build("demo", userdata, "es")
    assert isinstance(pipeline.tts, EspeakTTS)
    assert pipeline.tts.language == "es"
    pipeline.set_language("fr")
    assert pipeline.tts.language == "fr"


@pytest.mark.parametrize("name", ["livekit", "openai"])
async def test_cloud_pipelines_are_configured_without_a_call(
    name: str, userdata: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys in the environment they build, and change their language."""
    for key in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "test" * 10)
    monkeypatch.setenv("AGENT_LLM_MODEL", "openai/other")
    pipeline = pipelines.build(name, userdata, "en")
    pipeline.set_language("de")
    assert pipeline.llm.model == "openai/other"
    assert pipeline.vad is userdata["pipeline.vad"]
