"""Speech by espeak-ng, as a LiveKit plugin."""

from typing import Final

from livekit.agents import tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.utils import shortuuid

from demo_models.espeak import SAMPLE_RATE, VOICES, engine
from demo_models.phrases import DEFAULT_LANGUAGE

_SILENCE: Final = bytes(2 * SAMPLE_RATE // 10)  # 100 ms of 16-bit samples


class EspeakTTS(tts.TTS[str]):
    """Speaks English, Spanish, German and French. A sentence takes about 20 ms."""

    def __init__(self, *, language: str = DEFAULT_LANGUAGE) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        self._language = DEFAULT_LANGUAGE
        self.update_options(language=language)

    @property
    def model(self) -> str:
        """The model's name in metrics."""
        return "espeak-ng"

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return "rejoin-demo"

    @property
    def language(self) -> str:
        """The language of the next sentence."""
        return self._language

    def update_options(self, *, language: str) -> None:
        """Speak `language` from the next sentence on.

        Raises:
            ValueError: There is no voice for this language.
        """
        if language not in VOICES:
            raise ValueError(f"no voice for {language!r}, only for {', '.join(VOICES)}")
        self._language = language

    def prewarm(self) -> None:
        """Load the library and its voice data."""
        engine()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Start to speak `text` in the present language."""
        return EspeakStream(
            tts=self, input_text=text, conn_options=conn_options, language=self._language
        )


class EspeakStream(tts.ChunkedStream):
    """The synthesis of one text."""

    def __init__(
        self, *, tts: EspeakTTS, input_text: str, conn_options: APIConnectOptions, language: str
    ) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._language = language

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid("espeak_"),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        # An emoji or a dash has no sound, and a result without sound counts as a failed request.
        if not await engine().speak(self.input_text, self._language, output_emitter.push):
            output_emitter.push(_SILENCE)
        output_emitter.flush()
