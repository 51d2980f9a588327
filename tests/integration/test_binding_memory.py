"""A job without a room that keeps its conversation in the memory of its process."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.protocol.agent_pb import agent_session as console

from dev.paths import ROOT
from dev.rig.net import NET_S
from dev.rig.programs import Program, until
from examples.local import LocalLLM
from session_store import KeyringMissing, SessionStore, StoreSettings
from session_store.livekit import EntryKind, PersistedTwice, persist

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_store.livekit import Conversation

testing = pytest.importorskip("livekit.agents.testing")


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for memory, and for nothing else: there is no key."""
    for name in [name for name in os.environ if name.startswith("REJOIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REJOIN_REDIS_URL", "memory://")


@pytest_asyncio.fixture
async def store() -> AsyncIterator[SessionStore]:
    """Return a store that a test can look into."""
    store = SessionStore.from_settings(StoreSettings())
    yield store
    await store.aclose()


class Talk:
    """A job without a room, and its conversation."""

    def __init__(self, session: AgentSession[Any], conversation: Conversation) -> None:
        self.session = session
        self.conversation = conversation

    @property
    def known(self) -> list[str]:
        """What was said before this job."""
        return [each.text_content or "" for each in self.conversation.chat_ctx.messages()]

    @property
    def said(self) -> list[str]:
        """What the agent has said in this job."""
        said = [each for each in self.session.history.messages() if each.role == "assistant"]
        return [each.text_content or "" for each in said if each.id not in self._before]

    @property
    def _before(self) -> set[str]:
        return {each.id for each in self.conversation.chat_ctx.items}


@asynccontextmanager
async def talking(agent: Agent | None = None, **wanted: Any) -> AsyncIterator[Talk]:
    """Talk with an agent, as a developer's test does."""
    with testing.fake_job_context(room=rtc.Room()) as ctx:
        async with AgentSession[Any](llm=LocalLLM()) as session:
            conversation = await persist(ctx, session, **wanted)
            begun = await conversation.resume(agent or Agent(instructions=""))
            await session.start(begun, **conversation.start_args)
            await conversation.greet()
            yield Talk(session, conversation)
        ctx._tempdir.cleanup()


async def test_the_next_job_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """It is a return: the model knows what was said, and the visit is counted."""
    caplog.set_level("INFO", "session_store")
    async with talking(identity="maria") as first:
        assert (first.conversation.entry, first.conversation.visit) == (EntryKind.NEW, 1)
        await first.session.run(user_input="my cat is called Tom")
    async with talking(identity="maria", words=lambda visit: f"Visit {visit.number}.") as second:
        assert (second.conversation.entry, second.conversation.visit) == (EntryKind.RETURN, 2)
        assert second.known == ["my cat is called Tom", "I heard: my cat is called Tom."]
        await second.session.run(user_input="what have I said?")
        await until(lambda: "Visit 2." in second.said, "it has greeted")
        assert "You said: my cat is called Tom." in second.said
    assert first.conversation.session_id == second.conversation.session_id
    said = [each.getMessage() for each in caplog.records]
    assert said.count("this conversation is kept in the memory of this process alone") == 2


async def test_another_name_has_another_conversation() -> None:
    """As with Redis; a name that the program finds at the participant counts, too."""
    async with talking(identity="maria") as maria:
        await maria.session.run(user_input="my cat is called Tom")
    async with talking(identity=lambda participant: participant.identity) as other:
        assert (other.conversation.entry, other.known) == (EntryKind.NEW, [])


async def test_a_test_can_read_the_record(store: SessionStore) -> None:
    """A store that it gives is the one that is written."""
    async with talking(store=store, identity="maria") as talk:
        await talk.session.run(user_input="my cat is called Tom")
    loaded = await store.load(store.pseudonym("maria"), talk.conversation.session_id)
    assert loaded is not None
    texts = [recorded.turn.text for recorded in loaded.turns]
    assert texts == ["my cat is called Tom", "I heard: my cat is called Tom."]


@pytest.mark.parametrize("way", ["shutdown", "finish"])
async def test_what_the_program_ends_is_over(way: str) -> None:
    """The next job begins anew, as after a call that the agent has ended."""
    async with talking(identity="maria") as first:
        await first.session.run(user_input="my cat is called Tom")
        if way == "shutdown":
            first.session.shutdown()
            await first.conversation.ended()
        else:
            await first.conversation.finish()
    async with talking(identity="maria") as second:
        assert (second.conversation.entry, second.known) == (EntryKind.NEW, [])


async def test_it_can_be_erased(store: SessionStore) -> None:
    """Nothing is left in the store."""
    async with talking(store=store, identity="maria") as talk:
        await talk.session.run(user_input="my cat is called Tom")
        await talk.conversation.erase()
    assert await store.load(store.pseudonym("maria"), talk.conversation.session_id) is None


async def test_a_job_has_one_conversation() -> None:
    """A second ``persist`` is refused, as in a room."""
    with testing.fake_job_context(room=rtc.Room()) as ctx:
        async with AgentSession[Any](llm=LocalLLM()) as session:
            await persist(ctx, session)
            with pytest.raises(PersistedTwice):
                await persist(ctx, AgentSession(llm=LocalLLM()))
        ctx._tempdir.cleanup()


def test_only_memory_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a key that is named and missing is an error there, too."""
    monkeypatch.setenv("REJOIN_KEY_FILE", "/nowhere/keys.json")
    with pytest.raises(KeyringMissing):
        SessionStore.from_settings(StoreSettings())
    monkeypatch.delenv("REJOIN_KEY_FILE")
    monkeypatch.delenv("REJOIN_REDIS_URL")
    with pytest.raises(KeyringMissing):
        SessionStore.from_settings(StoreSettings())


@pytest.mark.parametrize(
    ("redis_url", "line"),
    [
        ("memory://", "this conversation is kept in the memory of this process alone"),
        ("redis://127.0.0.1:1/0", "nothing is kept of this conversation"),
    ],
)
async def test_the_console_works(redis_url: str, line: str, tmp_path: Path) -> None:
    """LiveKit's own console runs the starter, without a key; one line says what is kept."""
    async with the_console(tmp_path, redis_url) as (ask, log):
        assert await ask("my cat is called Tom") == "I heard: my cat is called Tom."
    assert sum(line in each for each in log.read_text().splitlines()) == 1


@asynccontextmanager
async def the_console(folder: Path, redis_url: str) -> AsyncIterator[tuple[Any, Path]]:
    """Run the starter in the console, behind the part of it that a person sees."""
    came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *streams: came.put_nowait(streams), "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    command = ["-m", "livekit.agents", "console", "--connect-addr", f"{host}:{port}"]
    program = Program(
        "console",
        [sys.executable, *command, str(ROOT / "examples" / "starter.py")],
        folder,
        {"REJOIN_REDIS_URL": redis_url, "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"},
    )
    program.start()
    writers: list[asyncio.StreamWriter] = []
    try:
        async with asyncio.timeout(2 * NET_S):
            reader, writer = await came.get()
        writers.append(writer)

        async def ask(text: str) -> str:
            return await asyncio.wait_for(answer_to(text, reader, writer), 2 * NET_S)

        yield ask, program.log
    finally:
        await program.aclose(grace_s=0)
        for writer in writers:
            writer.close()
        server.close()


async def answer_to(text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Type a text, and return the answer that mentions it."""
    run = console.SessionRequest.RunInput(text=text)
    request = console.SessionRequest(request_id="1", run_input=run)
    send(writer, console.AgentSessionMessage(request=request))
    while True:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        message = console.AgentSessionMessage()
        message.ParseFromString(await reader.readexactly(length))
        if message.HasField("audio_playback_flush"):
            played = console.AgentSessionMessage.ConsoleIO.AudioPlaybackFinished()
            send(writer, console.AgentSessionMessage(audio_playback_finished=played))
        if message.response.HasField("run_input"):
            items = message.response.run_input.items
            return [part.text for item in items for part in item.message.content][-1]


def send(writer: asyncio.StreamWriter, message: console.AgentSessionMessage) -> None:
    """Send a message, with its length in front."""
    data = message.SerializeToString()
    writer.write(struct.pack(">I", len(data)) + data)
