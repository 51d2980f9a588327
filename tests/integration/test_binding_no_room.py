"""Without a room, without keys, switched off: LiveKit works as it does without us."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import Agent, AgentSession

from dev.paths import ROOT
from dev.rig.net import NET_S
from dev.rig.ports import free_port
from dev.rig.programs import until
from examples.local import LocalLLM
from session_store import StoreSettings
from session_store.livekit import EntryKind, PersistedTwice, persist
from session_store.livekit.job import entry_point
from session_store.models import SessionContent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from livekit.agents import JobContext

testing = pytest.importorskip("livekit.agents.testing")


@pytest_asyncio.fixture
async def ctx() -> AsyncIterator[JobContext]:
    """Return a job as LiveKit's test helper makes it, and its console: without a room."""
    with testing.fake_job_context(room=rtc.Room()) as made:
        yield made
        made._tempdir.cleanup()


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget all settings."""
    for name in [name for name in os.environ if name.startswith("REJOIN_")]:
        monkeypatch.delenv(name)


def said(session: AgentSession[Any]) -> list[str]:
    """Return what an agent has said."""
    return [each.text_content or "" for each in session.history.messages()]


@pytest.mark.usefixtures("no_keys")
async def test_an_agent_talks_in_a_job_without_a_room(
    ctx: JobContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept, one line says so, and the five lines of the README do no harm."""
    session: AgentSession[Any] = AgentSession(llm=LocalLLM())
    conversation = await persist(ctx, session, words=lambda visit: f"Visit {visit.number}.")
    agent = Agent(instructions="")
    assert await conversation.resume(agent) is agent
    await session.start(agent, **conversation.start_args)
    await conversation.greet()
    await until(lambda: said(session) == ["Visit 1."], "it has greeted")
    await session.generate_reply(user_input="my cat is called Tom")
    await session.aclose()
    assert said(session) == ["Visit 1.", "my cat is called Tom", "I heard: my cat is called Tom."]
    ours = [each for each in caplog.records if each.name.startswith("session_store")]
    assert [vars(each)["why"] for each in ours] == ["this job has no room"]


@pytest.mark.usefixtures("no_keys")
async def test_all_that_a_conversation_offers_is_there_without_a_room(ctx: JobContext) -> None:
    """A program that uses it runs in LiveKit's tests as it is."""
    conversation = await persist(ctx, AgentSession(llm=LocalLLM()))
    changes: list[str] = []
    conversation.on_change(lambda: changes.append(conversation.content.language))
    conversation.change(lambda content: content.model_copy(update={"language": "es"}))
    conversation.change(lambda content: content)
    conversation.watch()
    await conversation.greet()
    await conversation.erase()
    assert changes == ["es", "en"]
    assert (conversation.content, conversation.session_id) == (SessionContent(), "")
    assert (conversation.visit, conversation.is_new, conversation.active_agent) == (1, True, None)
    assert (conversation.entry, conversation.gap) == (EntryKind.NEW, timedelta(0))
    assert conversation.chat_ctx.items == []
    for callback in ctx._shutdown_callbacks:
        await callback("over")
    await conversation.ended()


async def test_switched_off_a_real_job_passes_through(ctx: JobContext) -> None:
    """With ``REJOIN_ENABLED=0`` nothing is asked of Redis, and no key is needed."""
    real: Any = ctx
    real._info.fake_job = False
    session: AgentSession[Any] = AgentSession(llm=LocalLLM())
    settings = StoreSettings.model_validate({"enabled": False})
    conversation = await entry_point.persist(real, session, settings=settings)
    await session.start(Agent(instructions=""))
    await conversation.greet(instructions="Greet the person.")
    greeting = "Hello! What can I do for you?"
    await until(lambda: said(session) == [greeting], "it has greeted")
    await session.aclose()


async def test_a_job_has_one_conversation(
    ctx: JobContext, monkeypatch: pytest.MonkeyPatch, settings: StoreSettings
) -> None:
    """A second ``persist`` is refused, and says why; the first conversation is left alone."""
    real: Any = ctx
    real._info.fake_job = False
    begun: list[object] = []

    async def begin(setup: object, _: object) -> Any:
        begun.append(setup)
        return SimpleNamespace(ended=None)

    monkeypatch.setattr(entry_point, "_begin", begin)
    await persist(real, AgentSession(llm=LocalLLM()), settings=settings)
    with pytest.raises(PersistedTwice, match="a job has one conversation"):
        await persist(real, AgentSession(llm=LocalLLM()), settings=settings)
    assert len(begun) == 1


def starting(folder: Path, **settings: str) -> subprocess.Popen[str]:
    """Start the starter as a worker."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("REJOIN_")}
    environment = {
        **known,
        "LIVEKIT_URL": f"ws://127.0.0.1:{free_port()}",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "a secret of thirty-two characters",
        "LIVEKIT_AGENT_NAME": "assistant",
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
        **settings,
    }
    program = ["-m", "livekit.agents", "start", "--dev", str(ROOT / "examples" / "starter.py")]
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_worker_that_could_keep_nothing_does_not_start(tmp_path: Path, key_file: Path) -> None:
    """It says why in one line, exits with 1, and is never registered."""
    keys = {"REJOIN_KEY_FILE": str(key_file)}
    wrong = {
        "no encryption key is set: set REJOIN_KEY_FILE": {},
        "/nowhere/keys.json": {"REJOIN_KEY_FILE": "/nowhere/keys.json"},
        "REJOIN_LEASE_S": {**keys, "REJOIN_LEASE_S": "soon"},
        "REJOIN_SPOOL_DIR: /proc/spool": {**keys, "REJOIN_SPOOL_DIR": "/proc/spool"},
        "REJOIN_REDIS_URL is memory://": {**keys, "REJOIN_REDIS_URL": "memory://"},
    }
    # All at once: most of the time of each goes into imports.
    workers = {line: starting(tmp_path, **settings) for line, settings in wrong.items()}
    for line, worker in workers.items():
        said, _ = worker.communicate(timeout=NET_S)
        ours = [text for text in said.splitlines() if "the worker does not start" in text]
        assert worker.returncode == 1, said
        assert len(ours) == 1, said
        assert line in ours[0]
        assert "registered worker" not in said
