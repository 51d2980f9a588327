"""Providers on loopback, and calls to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from agent import pipelines
from agent.pipeline_settings import PipelineSettings
from dev.rig.providers.fake_openai import FakeOpenAI
from session_store.livekit.providers import answer_retry
from tests.integration.providers.call import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from session_store import SessionStore, StoreSettings


@pytest.fixture(scope="session")
def userdata() -> dict[str, Any]:
    """Return what a warm process keeps."""
    kept: dict[str, Any] = {}
    pipelines.prewarm(PipelineSettings(agent_pipeline="demo"), kept)
    return kept


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    """Run OpenAI, as it were."""
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
def brief_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failed answers be tried again soon."""
    monkeypatch.setattr(answer_retry, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(answer_retry, "LONGEST_PAUSE_S", 0.2)


@pytest_asyncio.fixture
async def call(
    store: SessionStore, settings: StoreSettings, userdata: dict[str, Any]
) -> AsyncIterator[Callable[..., Any]]:
    """Begin calls, one after another, with models as these settings name them."""
    calls: list[Call] = []

    async def begin(*, one_voice: bool = False, **models: Any) -> Call:
        chosen = PipelineSettings.model_validate(models)
        calls.append(Call(store, settings, chosen, userdata, one_voice=one_voice))
        return await calls[-1].begin()

    yield begin
    for each in calls:
        await each.end()
