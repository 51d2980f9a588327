"""espeak-ng through ctypes: text in, PCM out.

The library keeps its state in globals, so a process has only one synthesiser. There is one engine
per process and one thread that calls it. Each request names its language, which no earlier call
could set safely.
"""

import asyncio
import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import MappingProxyType
from typing import Final

import espeakng_loader

SAMPLE_RATE: Final = 22050
"""Sample rate of every espeak-ng voice of these languages, in Hz."""

VOICES: Final = MappingProxyType({"en": "en-us", "es": "es", "de": "de", "fr": "fr"})
"""espeak-ng's voice for each language."""

_WORDS_PER_MINUTE: Final = 160
_CHUNK_MS: Final = 200  # audio that espeak delivers in one callback

# From espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS: Final = 2
_DO_NOT_EXIT: Final = 0x8000
_RATE: Final = 1
_WORD_GAP: Final = 7
_POS_CHARACTER: Final = 1
_CHARS_UTF8: Final = 1
_OK: Final = 0
_CONTINUE: Final = 0
_ABORT: Final = 1

# int callback(short *samples, int count, espeak_EVENT *events); a null address is None.
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class EspeakError(RuntimeError):
    """espeak-ng refused a call.

    Attributes:
        status: The library's status code.
    """

    def __init__(self, operation: str, status: int) -> None:
        super().__init__(f"espeak-ng: {operation} failed with status {status}")
        self.status = status


class Espeak:
    """The synthesiser of this process; get it from `engine`."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")
        self._sink: Callable[[bytes], bool] | None = None
        self._voice: str | None = None
        # A C callback must live longer than every call that may use it.
        self._callback = _Callback(self._on_audio)
        self._lib = self._thread.submit(self._open).result()

    def _open(self) -> ctypes.CDLL:
        lib = ctypes.CDLL(espeakng_loader.get_library_path())
        lib.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        lib.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        lib.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.POINTER(ctypes.c_uint),
            ctypes.c_void_p,
        ]
        rate = lib.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS,
            _CHUNK_MS,
            espeakng_loader.get_data_path().encode(),
            _DO_NOT_EXIT,
        )
        if rate != SAMPLE_RATE:
            raise EspeakError("espeak_Initialize", rate)
        lib.espeak_SetSynthCallback(self._callback)
        _check("espeak_SetParameter", lib.espeak_SetParameter(_RATE, _WORDS_PER_MINUTE, 0))
        _check("espeak_SetParameter", lib.espeak_SetParameter(_WORD_GAP, 1, 0))
        return lib

    def _on_audio(self, wav: int | None, samples: int, _: object) -> int:
        # The last call of an utterance has a null pointer. An exception cannot cross C.
        if wav is None or samples <= 0 or self._sink is None:
            return _CONTINUE
        return _CONTINUE if self._sink(ctypes.string_at(wav, samples * 2)) else _ABORT

    def _speak(self, text: str, language: str, sink: Callable[[bytes], bool]) -> None:
        voice = VOICES[language]
        if voice != self._voice:
            _check("espeak_SetVoiceByName", self._lib.espeak_SetVoiceByName(voice.encode()))
            self._voice = voice
        data = text.replace("\0", " ").encode("utf-8", "replace")
        self._sink = sink
        try:
            status = self._lib.espeak_Synth(
                data, len(data) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._sink = None
        _check("espeak_Synth", status)

    async def speak(self, text: str, language: str, sink: Callable[[bytes], None]) -> bool:
        """Synthesise `text`. `sink` gets 16-bit mono PCM on the event loop, piece by piece.

        Cancellation stops the synthesis at the next piece.

        Args:
            text: Plain text. Markup is read aloud.
            language: A key of `VOICES`: `en`, `es`, `de` or `fr`.
            sink: Takes the next piece of audio.

        Returns:
            Whether the text had any sound.

        Raises:
            EspeakError: The library refused a call.
        """
        loop = asyncio.get_running_loop()
        unwanted = threading.Event()
        heard = False

        def deliver(pcm: bytes) -> None:
            nonlocal heard
            if not unwanted.is_set():
                heard = True
                sink(pcm)

        def forward(pcm: bytes) -> bool:
            if unwanted.is_set():
                return False
            try:
                loop.call_soon_threadsafe(deliver, pcm)
            except RuntimeError:
                return False  # the loop was closed
            return True

        try:
            # All pieces are scheduled before the result, so they are delivered when this returns.
            await loop.run_in_executor(self._thread, self._speak, text, language, forward)
        except BaseException:
            unwanted.set()
            raise
        return heard


@cache
def engine() -> Espeak:
    """Return the synthesiser of this process. The first call loads it (about 10 ms)."""
    return Espeak()


def _check(operation: str, status: int) -> None:
    if status != _OK:
        raise EspeakError(operation, status)
