"""What is being said is in the store as it is said: in a real room, with a voice and a listener."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from livekit import api, rtc
from livekit.agents import Agent, AgentSession, StopResponse, llm, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.voice.room_io import RoomOptions

from demo_models.tts import EspeakTTS
from dev.rig.net import NET_S
from session_store.livekit.job.drafts import Drafts
from session_store.livekit.job.page_channel import PageChannel
from session_store.livekit.job.transcript import Transcript
from session_store.writing.recorder import Recorder
from tests.integration.livekit import LiveKit, running_livekit
from tests.integration.scripted import ScriptedLLM
from tests.integration.stage import Room
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from livekit.agents.types import APIConnectOptions, NotGivenOr

    from session_store import SessionStore
    from session_store.values import Joined

SPEECH = (
    "The quick brown fox jumps over the lazy dog near the river bank. Every morning a small boat "
    "leaves the harbour with seven fishermen on board."
)
FIRST_SENTENCE = 13
"""How many words it has."""
ROOM = "boat"


@pytest.fixture(scope="module")
def livekit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKit]:
    """Run a LiveKit server."""
    with running_livekit(tmp_path_factory.mktemp("livekit")) as server:
        yield server


class ScriptedSTT(stt.STT[Any]):
    """Ears that understand what a test says."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.heard: asyncio.Queue[stt.SpeechEvent] = asyncio.Queue()

    def hear(self, kind: stt.SpeechEventType, words: str = "") -> None:
        """Understand something."""
        alternatives: Any = [stt.SpeechData(language="en", text=words)] if words else []  # type: ignore[arg-type]
        self.heard.put_nowait(stt.SpeechEvent(type=kind, alternatives=alternatives))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,  # noqa: ARG002 (there is one)
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Listen."""
        return _Listening(stt=self, conn_options=conn_options)


class _Listening(stt.RecognizeStream):
    async def _run(self) -> None:
        ears = self._stt
        assert isinstance(ears, ScriptedSTT)
        while True:
            self._event_ch.send_nowait(await ears.heard.get())


class Talk:
    """A job in a real room that records what is said in it, and a participant who listens."""

    def __init__(self, store: SessionStore, joined: Joined, agent_session: Any) -> None:
        page: Any = Room()
        self.store = store
        self.joined = joined
        self.agent_session: AgentSession[Any] = agent_session
        self.recorder = Recorder(store, joined.lease)
        self.channel = PageChannel(page, "maria")
        self.drafts = Drafts(store, joined.lease)
        self.transcript = Transcript(
            self.recorder, self.channel, joined.lease, joined.turns, self.drafts
        )
        self.transcript.make_good(joined.drafts)
        self.agent_session.on(
            "conversation_item_added", lambda event: self.transcript.record_if_new(event.item)
        )
        self.shown = ""
        """What the listener was shown of the agent's words."""
        self._readers: set[asyncio.Task[None]] = set()

    def show(self, reader: rtc.TextStreamReader, who: str) -> None:
        """Note what is shown of the agent's words."""
        if who == "agent":
            reading = asyncio.create_task(self._read(reader))
            self._readers.add(reading)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        with suppress(ConnectionError):  # The room is left in mid-sentence.
            async for words in reader:
                self.shown += words

    async def being_said(self) -> dict[str, str]:
        """Return what a successor would find now."""
        loaded = await self.store.load(self.joined.session.participant, self.joined.session.id)
        assert loaded is not None
        return {str(each.turn.role): each.turn.text for each in loaded.drafts}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(NET_S):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_kept(self, role: str, words: int) -> str:
        """Wait until a successor would find so many words; return them."""
        async with asyncio.timeout(NET_S):
            while len((found := await self.being_said()).get(role, "").split()) < words:
                await asyncio.sleep(0.05)
        return found[role]

    def recorded(self) -> list[tuple[str | None, str, bool]]:
        """Return roles and texts, and whether each was cut short."""
        turns = [each.turn for each in self.transcript.turns]
        return [(turn.role, turn.text, turn.interrupted) for turn in turns]

    async def close(self) -> None:
        """End everything."""
        await self.agent_session.aclose()
        await self.drafts.aclose()
        await self.recorder.aclose()
        await self.channel.aclose()


@pytest.fixture
def talking(store: SessionStore, livekit: LiveKit) -> Callable[..., Any]:
    """Begin talks in a room."""

    def token(identity: str, kind: Any) -> str:
        grants = api.VideoGrants(room_join=True, room=ROOM)
        made = api.AccessToken(livekit.key, livekit.secret).with_identity(identity)
        return made.with_grants(grants).with_kind(kind).to_jwt()

    @asynccontextmanager
    async def talk(
        options: RoomOptions, agent: Agent | None = None, **parts: Any
    ) -> AsyncIterator[Talk]:
        joined = await store.join(store.pseudonym("maria"), load_id="load-1")
        talk = Talk(store, joined, AgentSession(**parts))
        agent_room, person = rtc.Room(), rtc.Room()
        person.register_text_stream_handler("lk.transcription", talk.show)
        await person.connect(livekit.url, token("maria", "standard"))
        await agent_room.connect(livekit.url, token("agent", "agent"))
        try:
            await talk.agent_session.start(
                agent or Agent(instructions=""),
                room=agent_room,
                room_options=talk.drafts.overhear(talk.agent_session, options),
                session_host=False,
            )
            yield talk
        finally:
            await talk.close()
            await person.disconnect()
            await agent_room.disconnect()

    return talk


async def test_the_agents_words_are_kept_as_they_are_heard(
    talking: Callable[..., Any], store: SessionStore, raw: Any
) -> None:
    """Killed in mid-speech, the successor has what was shown until then, give or take some words.

    The model stands still in the second sentence, so only the first one is heard.
    """
    model = ScriptedLLM(lambda _: SPEECH)
    model.pauses_after = 21
    async with talking(RoomOptions(), llm=model, tts=EspeakTTS(language="en")) as talk:
        talk.agent_session.generate_reply(user_input="Tell me.")
        await talk.until(lambda: len(talk.shown.split()) >= FIRST_SENTENCE)
        kept = await talk.until_kept("assistant", FIRST_SENTENCE)
        assert SPEECH.startswith(kept)
        assert len(kept.split()) <= FIRST_SENTENCE + 3
        assert len(talk.shown.split()) <= FIRST_SENTENCE + 3
        assert await talk.recorder.flush(5)
        await talk.drafts.aclose()
        await age(raw, store, "maria", talk.joined.session.id, 4)

        again = await store.join(store.pseudonym("maria"), load_id="load-1")
        successor = Talk(store, again, AgentSession())
        (asked, answered) = successor.recorded()
        assert asked == ("user", "Tell me.", False)
        assert answered[0::2] == ("assistant", True)
        assert SPEECH.startswith(answered[1])
        assert await successor.recorder.flush(5)
        loaded = await store.load(again.session.participant, again.session.id)
        assert loaded is not None
        assert loaded.drafts == ()
        await successor.close()


async def test_an_interrupted_sentence_is_recorded_as_it_was_heard(
    talking: Callable[..., Any],
) -> None:
    """The turn settles its draft, and the words that LiveKit still sends make no other."""
    model = ScriptedLLM(lambda _: SPEECH)
    async with talking(RoomOptions(), llm=model, tts=EspeakTTS(language="en")) as talk:
        speech = talk.agent_session.generate_reply(user_input="Tell me.")
        await talk.until(lambda: len(talk.shown.split()) >= 5)
        drafted = talk.drafts._speeches["assistant"].id
        await talk.agent_session.interrupt()
        await speech
        await talk.until(lambda: len(talk.recorded()) == 2)
        assert talk.recorded()[1][0::2] == ("assistant", True)
        assert talk.transcript.turns[1].turn.id == drafted
        await asyncio.sleep(0.5)
        assert await talk.being_said() == {}


async def test_without_sound_the_words_are_kept_as_they_are_shown(
    talking: Callable[..., Any],
) -> None:
    """A conversation in text alone has drafts too, at the pace of the model."""
    model = ScriptedLLM(lambda _: SPEECH, word_s=0.05)
    options = RoomOptions(audio_output=False, audio_input=False)
    async with talking(options, llm=model) as talk:
        speech = talk.agent_session.generate_reply(user_input="Tell me.")
        await talk.until(lambda: len(talk.shown.split()) >= 10)
        kept = (await talk.being_said())["assistant"]
        assert SPEECH.startswith(kept)
        assert 0 < len(kept.split()) < len(SPEECH.split())
        await speech
        await talk.recorder.flush(5)
        assert await talk.being_said() == {}
        assert talk.recorded()[1] == ("assistant", SPEECH, False)


async def test_the_users_words_are_kept_as_they_are_understood(
    talking: Callable[..., Any],
) -> None:
    """Half a sentence too; the turn that comes of them settles them."""
    ears = ScriptedSTT()
    kinds = stt.SpeechEventType
    async with talking(
        RoomOptions(audio_output=False),
        llm=ScriptedLLM(lambda _: "I see."),
        stt=ears,
        turn_handling={"turn_detection": "stt"},
    ) as talk:
        ears.hear(kinds.START_OF_SPEECH)
        ears.hear(kinds.INTERIM_TRANSCRIPT, "my name")
        await until_being_said(talk, {"user": "my name"})
        ears.hear(kinds.FINAL_TRANSCRIPT, "my name is")
        ears.hear(kinds.FINAL_TRANSCRIPT, "Maria")
        await until_being_said(talk, {"user": "my name is Maria"})
        ears.hear(kinds.END_OF_SPEECH)
        await talk.until(lambda: ("user", "my name is Maria", False) in talk.recorded())
        await talk.until(lambda: ("assistant", "I see.", False) in talk.recorded())
        await talk.recorder.flush(5)
        assert await talk.being_said() == {}


class Listener(Agent):
    """Answers only who says its name: the wake word of LiveKit's guides."""

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002 (LiveKit names it)
        new_message: llm.ChatMessage,
    ) -> None:
        """Throw away whatever does not begin with the name."""
        if not (new_message.text_content or "").startswith("Computer"):
            raise StopResponse


async def until_being_said(talk: Talk, expected: dict[str, str]) -> None:
    """Wait until a successor would find just this being said."""
    async with asyncio.timeout(NET_S):
        while await talk.being_said() != expected:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["StopResponse", "clear_user_turn"])
async def test_what_a_program_throws_away_is_no_turn_and_no_draft(
    talking: Callable[..., Any], how: str
) -> None:
    """Nothing of it is left for a successor to answer; what is said next is kept as ever."""
    ears, kinds = ScriptedSTT(), stt.SpeechEventType
    async with talking(
        RoomOptions(audio_output=False),
        Listener(instructions=""),
        llm=ScriptedLLM(lambda _: "I see."),
        stt=ears,
        turn_handling={"turn_detection": "stt" if how == "StopResponse" else "manual"},
    ) as talk:
        ears.hear(kinds.START_OF_SPEECH)
        ears.hear(kinds.FINAL_TRANSCRIPT, "where is my cup?")
        await until_being_said(talk, {"user": "where is my cup?"})
        ears.hear(kinds.END_OF_SPEECH)
        if how == "clear_user_turn":
            talk.agent_session.clear_user_turn()
        await until_being_said(talk, {})
        assert talk.recorded() == []

        ears.hear(kinds.START_OF_SPEECH)
        ears.hear(kinds.FINAL_TRANSCRIPT, "Computer, what is the time?")
        await until_being_said(talk, {"user": "Computer, what is the time?"})
        ears.hear(kinds.END_OF_SPEECH)
        if how == "clear_user_turn":
            talk.agent_session.commit_user_turn()
        await talk.until(lambda: ("user", "Computer, what is the time?", False) in talk.recorded())


async def test_what_the_agent_says_beside_the_conversation_is_no_draft(
    talking: Callable[..., Any],
) -> None:
    """LiveKit keeps it out of the context, so it is no turn either."""
    model = ScriptedLLM(lambda _: "unused")
    async with talking(RoomOptions(), llm=model, tts=EspeakTTS(language="en")) as talk:
        speech = talk.agent_session.say("One moment, please.", add_to_chat_ctx=False)
        await talk.until(lambda: "moment" in talk.shown)
        await speech
        await until_being_said(talk, {})
        assert talk.recorded() == []
