"""The demo's pipeline, put together."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import AgentSession

from agent import pipelines
from agent.pipeline_settings import PipelineSettings
from demo_models.recognizer import Recognizer
from demo_models.tts import EspeakTTS

DEMO = PipelineSettings(agent_pipeline="demo")


@pytest.fixture(scope="module")
def userdata() -> dict[str, Any]:
    """What a warm process keeps."""
    kept: dict[str, Any] = {}
    pipelines.prewarm(DEMO, kept)
    return kept


def test_warm_parts_are_shared(userdata: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A session finds what its process has loaded, and loads nothing slow itself."""
    monkeypatch.setattr(Recognizer, "__init__", lambda _: pytest.fail("built again"))
    first = pipelines.build(DEMO, userdata, "en")
    second = pipelines.build(DEMO, userdata, "de")
    assert first.vad is second.vad
    assert first.tts is not second.tts


async def test_the_demo_session_asks_no_cloud(userdata: dict[str, Any]) -> None:
    """The demo's turns and interruptions are decided by the local VAD alone."""
    pipeline = pipelines.build(DEMO, userdata, "en")
    agent_session: AgentSession[None] = AgentSession(**pipeline.session_options())
    assert agent_session.stt is pipeline.stt
    assert agent_session.llm is pipeline.llm
    assert agent_session.tts is pipeline.tts
    assert agent_session.vad is pipeline.vad
    assert agent_session.turn_detection == "vad"
    assert agent_session.options.interruption["mode"] == "vad"


def test_the_language_reaches_the_voice(userdata: dict[str, Any]) -> None:
    """A pipeline begins in the language it was built for and follows a change."""
    pipeline = pipelines.build(DEMO, userdata, "es")
    assert isinstance(pipeline.tts, EspeakTTS)
    assert pipeline.tts.language == "es"
    pipeline.set_language("fr")
    assert pipeline.tts.language == "fr"
