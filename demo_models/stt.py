"""Speech recognition by grammar, as a LiveKit plugin.

The acoustic model is English. It does not stream: AgentSession cuts the speech with its VAD.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from livekit import rtc
from livekit.agents import stt
from livekit.agents.language import LanguageCode
from livekit.agents.types import NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import AudioBuffer, shortuuid

from demo_models.recognizer import SAMPLE_RATE, Recognizer, Samples
from demo_models.understanding import INAUDIBLE

__all__ = ["INAUDIBLE", "JsgfSTT"]

_LANGUAGE: Final = LanguageCode("en")


class JsgfSTT(stt.STT[str]):
    """Understands the demo's sentences. All other speech becomes `INAUDIBLE`, never a guess."""

    def __init__(self, recognizer: Recognizer | None = None) -> None:
        """Use `recognizer`, which several may share, or build one at the first use."""
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._recognizer = recognizer
        # One thread: the decoder works on one utterance at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stt")

    @property
    def model(self) -> str:
        """The model's name in metrics."""
        return "pocketsphinx-jsgf"

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return "rejoin-demo"

    def prewarm(self) -> None:
        """Build the recognizer now. It blocks."""
        self._thread.submit(self._get).result()

    async def aclose(self) -> None:
        """Release the thread. A result that is not ready yet is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,  # noqa: ARG002  (there is one)
        conn_options: APIConnectOptions,  # noqa: ARG002  (there is no connection)
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        text = await asyncio.get_running_loop().run_in_executor(self._thread, self._decode, frame)
        heard = stt.SpeechData(
            language=_LANGUAGE,
            text=text or INAUDIBLE,
            end_time=frame.duration,
            confidence=1.0 if text else 0.0,
        )
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=shortuuid("stt_"),
            alternatives=[heard],
        )

    def _get(self) -> Recognizer:
        if self._recognizer is None:
            self._recognizer = Recognizer()
        return self._recognizer

    def _decode(self, frame: rtc.AudioFrame) -> str | None:
        return self._get().recognize(_samples(frame)).text


def _samples(frame: rtc.AudioFrame) -> Samples:
    """Return `frame` as one channel at the rate of the acoustic model."""
    samples = np.frombuffer(frame.data, dtype=np.int16)
    if frame.num_channels > 1:
        channels = samples.reshape(-1, frame.num_channels)
        samples = channels.mean(axis=1).astype(np.int16)
    if frame.sample_rate == SAMPLE_RATE:
        return samples
    resampler = rtc.AudioResampler(
        frame.sample_rate, SAMPLE_RATE, quality=rtc.AudioResamplerQuality.HIGH
    )
    resampled = [*resampler.push(bytearray(samples.tobytes())), *resampler.flush()]
    if not resampled:
        return np.zeros(0, dtype=np.int16)
    return np.concatenate([np.frombuffer(part.data, dtype=np.int16) for part in resampled])
