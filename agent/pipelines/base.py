"""What a pipeline is: the models of a voice agent, ready for an `AgentSession`."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import llm, stt, vad
from livekit.agents.tts import TTS
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.turn import TurnHandlingOptions

SetLanguage = Callable[[str], None]
"""Changes the language from the next sentence on; takes an ISO 639-1 code, e.g. `es`."""

_VAD: Final = "pipeline.vad"
_ONE_RETRY: Final = APIConnectOptions(max_retry=1)


@dataclass(frozen=True, slots=True)
class Hearing:
    """Speech to text, and how its language is changed."""

    stt: stt.STT[Any]
    set_language: SetLanguage


@dataclass(frozen=True, slots=True)
class Speech:
    """Text to speech, and how its language is changed."""

    tts: TTS[Any]
    set_language: SetLanguage
    is_local: bool = False
    """Whether it asks nobody, so that it needs no other voice behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The models of one agent session. A pipeline serves one session, and is built for it.

    Attributes:
        stt: Hears; `None` where the language model does.
        llm: Answers, or hears and speaks too.
        tts: Speaks; `None` where the language model does.
        vad: Finds speech in sound; `None` where the language model does.
        turn_handling: When a turn of the user's is over, and what interrupts the agent.
        set_language: Changes what is heard and spoken, from the next sentence on; takes an
            ISO 639-1 code, e.g. `es`.
        spare_voice: Says that a provider has failed, where no other voice can.
        fronted: Models behind a fallback, whose failures an agent session does not hear of.
        llm_timeout_s: How long the language model may take to begin its answer.
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
        """Return what to pass on: `AgentSession(**pipeline.session_options())`."""
        models = {"stt": self.stt, "llm": self.llm, "tts": self.tts, "vad": self.vad}
        # Whoever waits is told so after one retry; the conversation sees to further ones.
        patience = SessionConnectOptions(
            stt_conn_options=_ONE_RETRY,
            llm_conn_options=APIConnectOptions(max_retry=1, timeout=self.llm_timeout_s),
            tts_conn_options=_ONE_RETRY,
        )
        return {
            **{name: model for name, model in models.items() if model is not None},
            "turn_handling": self.turn_handling,
            "conn_options": patience,
        }


def vad_turns() -> TurnHandlingOptions:
    """Return turn handling that decides by the VAD alone.

    LiveKit's default turn detector and its adaptive interruptions ask a cloud service; this does
    not. Delays are in seconds, after the VAD's own silence.
    """
    return {
        "turn_detection": "vad",
        "endpointing": {"mode": "fixed", "min_delay": 0.3, "max_delay": 1.5},
        "interruption": {"mode": "vad"},
    }


def load_vad(userdata: MutableMapping[str, Any]) -> vad.VAD:
    """Return the process's silero VAD, loaded at the first call (about 0.2 s) and kept."""
    # Imported late: whoever brings a VAD of their own does not need onnxruntime.
    from livekit.plugins import silero  # noqa: PLC0415

    if _VAD not in userdata:
        # Half a second of silence would be most of the answer's delay.
        userdata[_VAD] = silero.VAD.load(min_silence_duration=0.4)
    loaded: vad.VAD = userdata[_VAD]
    return loaded
