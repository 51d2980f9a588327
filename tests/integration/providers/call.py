"""A conversation on a pipeline with real plugins, in a room that the test directs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.utils import http_context
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities

from agent import pipelines
from agent.assistant import Assistant
from demo_models.tts import EspeakTTS
from tests.integration.stage import Stage
from tests.integration.test_store import age

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from agent.pipeline_settings import PipelineSettings
    from session_store import RecordedTurn, SessionStore, StoreSettings

_SILENCE_S = 0.8


class Microphone(AudioInput):
    """Hands over what is said, as fast as it is taken."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def say(self, words: str) -> None:
        """Speak, in the demo's voice, and be silent for a moment."""
        sound: rtc.AudioFrame = await EspeakTTS().synthesize(words).collect()
        silence = rtc.AudioFrame.create(sound.sample_rate, 1, int(sound.sample_rate * _SILENCE_S))
        for frame in (silence, sound, silence):
            await self._put(frame)

    async def _put(self, frame: rtc.AudioFrame) -> None:
        step = frame.sample_rate // 20
        data = bytes(frame.data.cast("b"))
        for start in range(0, len(data) - 2 * step, 2 * step):
            piece = data[start : start + 2 * step]
            self._frames.put_nowait(rtc.AudioFrame(piece, frame.sample_rate, 1, step))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Loudspeaker(AudioOutput):
    """Plays at once, and counts how often something was heard."""

    def __init__(self) -> None:
        super().__init__(
            label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=None
        )
        self.played = 0
        self._seconds = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play."""
        await super().capture_frame(frame)
        if not self._seconds:
            self.on_playback_started(created_at=0.0)
        self._seconds += frame.duration

    def flush(self) -> None:
        """End what is played."""
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        """Stop in the middle."""
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        if self._seconds:
            self.played += 1
            seconds, self._seconds = self._seconds, 0.0
            self.on_playback_finished(playback_position=seconds, interrupted=interrupted)


class Call:
    """One job with such a pipeline, and what its page and its user notice."""

    def __init__(
        self,
        store: SessionStore,
        settings: StoreSettings,
        models: PipelineSettings,
        userdata: MutableMapping[str, Any],
        *,
        one_voice: bool,
    ) -> None:
        self.pipeline = pipelines.build(models, userdata, "en")
        self.stage = Stage(store, settings)
        options = self.pipeline.session_options()
        if one_voice:
            options["tts"] = self.pipeline.fronted[0]
            self.pipeline = replace(self.pipeline, fronted=(), tts=options["tts"])
        else:
            self.stage.spare_voice = self.pipeline.spare_voice
        self.stage.agent_session = AgentSession(**options)
        self._http_context = http_context.open()
        self.microphone = Microphone()
        self.loudspeaker = Loudspeaker()

    async def begin(self) -> Call:
        """Do as the worker's entry point does."""
        # Plugins find it here as in a job; it is closed in ``end``, which another task runs.
        self._http = await self._http_context.__aenter__()
        await self.stage.join()
        conversation, agent_session = self.conversation, self.stage.agent_session
        self.pipeline.set_language(conversation.content.language)
        conversation.watch(*self.pipeline.fronted)
        agent_session.output.audio = self.loudspeaker
        agent_session.input.audio = self.microphone
        output: Any = conversation.start_args["room_options"].get_text_output_options()
        # Where RoomIO has it: at the end.
        agent_session.output.transcription = output.next_in_chain
        await self.stage.start_with(Assistant(conversation, self.pipeline))
        return self

    @property
    def conversation(self) -> Any:
        """What is tested."""
        return self.stage.conversation

    def hears(self) -> bool:
        """Return whether the agent listens to the microphone."""
        return self.stage.agent_session.input.audio_enabled

    def notices(self) -> list[str]:
        """Return what the page was shown of the agent's state, in order."""
        return [each["text"] for each in self.stage.job.room.sent if each["type"] == "notice"]

    def turns(self) -> list[tuple[str, str]]:
        """Return roles and texts, as they are recorded."""
        turns = [each.turn for each in self.conversation._writers.transcript.turns]
        return [(str(turn.role), turn.text) for turn in turns if turn.role]

    async def saved(self) -> list[RecordedTurn]:
        """Return what the store has."""
        await self.conversation._writers.recorder.flush(5)
        stage = self.stage
        loaded = await stage.store.load(stage.participant, self.conversation.session_id)
        assert loaded is not None
        return list(loaded.turns)

    async def until_said(self, words: str, within_s: float = 60.0) -> None:
        """Wait until the agent is recorded to have said this."""
        await self.stage.until(lambda: ("assistant", words) in self.turns(), within_s)

    async def until_noticed(self, words: str, within_s: float = 60.0) -> None:
        """Wait until this is the newest notice."""
        await self.stage.until(lambda: self.notices()[-1:] == [words], within_s)

    async def until_heard(self, more_than: int, within_s: float = 60.0) -> None:
        """Wait until the agent was heard more often than this."""
        await self.stage.until(lambda: self.loudspeaker.played > more_than, within_s)

    async def type(self, text: str, message_id: str = "") -> None:
        """Type a message; return when it is answered, or will not be."""
        info = SimpleNamespace(attributes={"rj.msg": message_id or f"typed-{text}"})
        event: Any = SimpleNamespace(text=text, info=info)
        await self.conversation._typed.receive(self.stage.agent_session, event)

    async def end(self) -> None:
        """End the job, and let go of what the plugins hold open."""
        await self.stage.end()
        pipeline = self.pipeline
        for model in (pipeline.stt, pipeline.llm, pipeline.tts, *pipeline.fronted):
            if model is not None:
                await model.aclose()
            client = getattr(model, "_client", None)
            if client is not None:
                await client.close()
        await self._http.close()
        await self._http_context.__aexit__(None, None, None)

    async def die(self, raw: Any) -> None:
        """End as SIGKILL does; the lease has run out afterwards."""
        await self.conversation._writers.recorder.flush(5)
        await self.stage.die()
        await age(raw, self.stage.store, "maria", self.conversation.session_id, 4)
