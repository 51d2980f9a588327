"""pocketsphinx with a grammar, and with three ways to reject other speech.

A grammar alone bends all speech into one of its sentences. Three checks reject the rest:

- Decoys, common words that compete inside the grammar.
- A second decoding of the same audio as a free sequence of phones. A sentence that was really said
  is nearly as likely as the best phones. A bent one is far less likely.
- Silence in the grammar's result where the phones have speech.

All scores are compared frame by frame. That needs `compallsen`, with which both passes are
normalised by the same best senone.
"""

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, get_model_path

from demo_models import grammar

SAMPLE_RATE: Final = 16_000
"""Sample rate of the acoustic model, in Hz."""

_GRAMMAR: Final = "grammar"
_PHONES: Final = "phones"

# Only silence may stand between words: the model's noise words would swallow other speech.
_FILLERS: Final = "<s> SIL\n</s> SIL\n<sil> SIL\n"

# Beams are far wider than the defaults, which lose long sentences among many names. Weights are 1,
# so that earlier words do not outvote the sound.
_OPTIONS: Final[dict[str, Any]] = {
    "lm": None,
    "loglevel": "FATAL",
    "bestpath": False,
    "compallsen": True,
    "cmn": "batch",
    "beam": 1e-100,
    "wbeam": 1e-80,
    "pbeam": 1e-100,
    "maxhmmpf": 15_000,
    "topn": 16,  # the default of 4 Gaussians is too coarse for synthetic speech
    "lw": 1.0,
    "wip": 1.0,
    "silprob": 1e-8,
}

# The models need silence at both ends, and the VAD may cut speech closely.
_PADDING_S: Final = 0.2
_PADDING_AMPLITUDE: Final = 5  # not digital zero, which has no logarithm
_MIN_SPEECH_S: Final = 0.15
_MIN_RMS: Final = 30.0  # of 32768: below this there is no speech

# In units of pocketsphinx's scores, per frame of 10 ms. Chosen with 84 sentences by espeak.
_MIN_UTTERANCE: Final = -18.0
_MIN_SEGMENT: Final = -55.0
_MAX_SPEECH_IN_SILENCE: Final = 1000.0
_MIN_SEGMENT_FRAMES: Final = 9

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Recognition:
    """The result of one recognition.

    Attributes:
        text: A sentence of the grammar in written form, or None for other speech.
        score: Mean log-likelihood ratio per frame against free phones; 0 is perfect.
    """

    text: str | None
    score: float


_NOTHING: Final = Recognition(None, -math.inf)


@dataclass(frozen=True, slots=True)
class _Segment:
    word: str
    start: int
    end: int  # exclusive
    score: float


class Recognizer:
    """One decoder behind a lock. It is slow to build, and calls block: keep it off event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        with TemporaryDirectory() as folder:
            fillers = Path(folder, "fillers.dict")
            fillers.write_text(_FILLERS, encoding="ascii")
            self._decoder = Decoder(
                hmm=get_model_path("en-us/en-us"),
                dict=get_model_path("en-us/cmudict-en-us.dict"),
                fdict=str(fillers),
                **_OPTIONS,
            )
        built = grammar.build(self._decoder.lookup_word)
        for word, phones in built.pronunciations:
            self._decoder.add_word(word, phones, False)  # noqa: FBT003  (a C extension's signature)
        self._decoder.add_jsgf_string(_GRAMMAR, built.jsgf)
        self._decoder.add_allphone_file(_PHONES, get_model_path("en-us/en-us-phone.lm.bin"))
        self._log = self._decoder.get_logmath().log
        noise = np.random.default_rng(seed=0).standard_normal(int(_PADDING_S * SAMPLE_RATE))
        self._padding: Samples = (noise * _PADDING_AMPLITUDE).astype(np.int16)

    def recognize(self, samples: Samples) -> Recognition:
        """Return the sentence in `samples` (mono, 16 kHz)."""
        if len(samples) < _MIN_SPEECH_S * SAMPLE_RATE or _rms(samples) < _MIN_RMS:
            return _NOTHING
        audio = np.concatenate([self._padding, samples, self._padding]).tobytes()
        with self._lock:
            hypothesis, segments = self._decode(_GRAMMAR, audio)
            text = grammar.transcript(hypothesis)
            if text is None:
                return _NOTHING
            _, phones = self._decode(_PHONES, audio)
        return _judge(text, segments, phones)

    def _decode(self, search: str, audio: bytes) -> tuple[str, list[_Segment]]:
        self._decoder.activate_search(search)
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(audio, no_search=False, full_utt=True)
        finally:
            self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        if hypothesis is None:
            return "", []
        return hypothesis.hypstr, [
            _Segment(s.word, s.start_frame, s.end_frame + 1, self._score(s.ascore))
            for s in self._decoder.seg()
            if s.end_frame >= s.start_frame and s.word != "(NULL)"
        ]

    def _score(self, likelihood: float) -> float:
        return float(self._log(likelihood)) if likelihood > 0 else -math.inf


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float64)))))


def _judge(text: str, segments: Iterable[_Segment], phones: Iterable[_Segment]) -> Recognition:
    """Compare the grammar's result with that of free phones, frame by frame."""
    free = np.zeros(max((phone.end for phone in phones), default=0) + 1)
    for phone in phones:
        free[phone.start : phone.end] = phone.score / (phone.end - phone.start)
    frames = 0
    total = 0.0
    worst = 0.0
    in_silence = 0.0
    for segment in segments:
        length = segment.end - segment.start
        ratio = segment.score - float(free[segment.start : segment.end].sum())
        frames += length
        total += ratio
        if segment.word.startswith("<"):
            in_silence = max(in_silence, -ratio)
        elif length >= _MIN_SEGMENT_FRAMES:
            worst = min(worst, ratio / length)
    score = total / max(frames, 1)
    accepted = (
        score >= _MIN_UTTERANCE and worst >= _MIN_SEGMENT and in_silence <= _MAX_SPEECH_IN_SILENCE
    )
    return Recognition(text if accepted else None, score)
