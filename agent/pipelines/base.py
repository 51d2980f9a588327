"""A pipeline: the models of a voice agent, ready for an `AgentSession`."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import llm, stt, vad
from livekit.agents.tts import TTS
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.turn import TurnHandlingOptions

SetLanguage = Callable[[str], None]
"""Changes the language from the next sentence on. Takes an ISO 639-1 code, such as `es`."""

_VAD: Final = "pipeline.vad"
_ONE_RETRY: Final = APIConnectOptions(max_retry=1)


@dataclass(frozen=True, slots=True)
class Hearing:
    """Speech to text, and a way to change its language."""

    stt: stt.STT[Any]
    set_language: SetLanguage


@dataclass(frozen=True, slots=True)
class Speech:
    """Text to speech, and a way to change its language."""

    tts: TTS[Any]
    set_language: SetLanguage
    is_local: bool = False
    """Whether it runs in this process, so that it needs no spare voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The models of one agent session. Each session needs its own pipeline.

    Attributes:
        stt: Speech to text; `None` if the language model hears.
        llm: The language model, which may hear and speak too.
        tts: Text to speech; `None` if the language model speaks.
        vad: Finds speech in sound; `None` if the language model does.
        turn_handling: What ends a turn of the user, and what interrupts the agent.
        set_language: Changes the language that is heard and spoken, from the next sentence on.
            Takes an ISO 639-1 code, such as `es`.
        spare_voice: Says that a provider has failed, if no other voice can.
        fronted: Models behind a fallback. The agent session does not see their failures.
        llm_timeout_s: Seconds within which the language model must begin its answer.
    """

    stt: stt.STT[Any] | None
    llm: llm.LLM[Any] | llm.RealtimeModel
    tts: TTS[Any] | None
    vad: vad.VAD | None
    turn_handling: TurnHandlingOptions
    set_language: SetLanguage
    spare_voice: TTS[Any] | None = None
    fronted: tuple[TTS[Any], ...] = ()
    llm_timeout_s: float = 10.0

    def session_options(self) -> dict[str, Any]:
        """Return the arguments of a session: `AgentSession(**pipeline.session_options())`."""
        models = {"stt": self.stt, "llm": self.llm, "tts": self.tts, "vad": self.vad}
        # The participant hears of a failure after one retry. `Conversation` retries after that.
        connect_options = SessionConnectOptions(
            stt_conn_options=_ONE_RETRY,
            llm_conn_options=APIConnectOptions(max_retry=1, timeout=self.llm_timeout_s),
            tts_conn_options=_ONE_RETRY,
        )
        return {
            **{name: model for name, model in models.items() if model is not None},
            "turn_handling": self.turn_handling,
            "conn_options": connect_options,
        }


def vad_turns() -> TurnHandlingOptions:
    """Return turn handling that uses only the VAD.

    LiveKit's default turn detector and adaptive interruptions ask a cloud service. This does not.
    Delays are in seconds, after the VAD's own silence.
    """
    return {
        "turn_detection": "vad",
        "endpointing": {"mode": "fixed", "min_delay": 0.3, "max_delay": 1.5},
        "interruption": {"mode": "vad"},
    }


def load_vad(userdata: MutableMapping[str, Any]) -> vad.VAD:
    """Return the process's silero VAD. The first call loads it (about 0.2 s)."""
    # Imported late: a program with its own VAD does not need onnxruntime.
    from livekit.plugins import silero  # noqa: PLC0415

    if _VAD not in userdata:
        # The default of 0.55 s would be most of the answer's delay.
        userdata[_VAD] = silero.VAD.load(min_silence_duration=0.4)
    loaded: vad.VAD = userdata[_VAD]
    return loaded
