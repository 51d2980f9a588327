"""What a pipeline is: the models of a voice agent, ready for an `AgentSession`."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import llm, stt, tts, vad
from livekit.agents.voice.turn import TurnHandlingOptions

_VAD: Final = "pipeline.vad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The models of one agent session. A pipeline serves one session, and is built for it.

    Attributes:
        stt: Hears.
        llm: Answers.
        tts: Speaks.
        vad: Finds speech in sound.
        turn_handling: When a turn of the user's is over, and what interrupts the agent.
        set_language: Changes what is heard and spoken, from the next sentence on; takes an
            ISO 639-1 code, e.g. `es`.
    """

    stt: stt.STT[Any]
    llm: llm.LLM[Any]
    tts: tts.TTS[Any]
    vad: vad.VAD
    turn_handling: TurnHandlingOptions
    set_language: Callable[[str], None]

    def session_options(self) -> dict[str, Any]:
        """Return what to pass on: `AgentSession(**pipeline.session_options())`."""
        return {
            "stt": self.stt,
            "llm": self.llm,
            "tts": self.tts,
            "vad": self.vad,
            "turn_handling": self.turn_handling,
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
