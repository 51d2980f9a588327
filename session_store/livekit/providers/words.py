"""What is said when a provider fails: what happened, and what to do, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from session_store.livekit.providers.failures import ProviderFailure


class _Words(NamedTuple):
    no_thought: str
    too_many: str
    no_answer: str
    deaf: str
    silent: str
    other_voice: str


_WORDS: Final = {
    "en": _Words(
        "I cannot think just now: whoever runs me has to look at it. What you say is kept.",
        "One moment, please: too much is asked of me just now. I will answer as soon as I can.",
        "I cannot think just now. I keep trying, and will answer as soon as I can.",
        "I cannot hear you just now. You can type to me.",
        "I cannot speak just now. You can read what I say.",
        "My usual voice does not answer, so you hear another one.",
    ),
    "es": _Words(
        "Ahora mismo no puedo pensar: quien me mantiene tiene que revisarlo. Lo que digas queda "
        "guardado.",
        "Un momento, por favor: ahora mismo me piden demasiado. Te responderé en cuanto pueda.",
        "Ahora mismo no puedo pensar. Sigo intentándolo y te responderé en cuanto pueda.",
        "Ahora mismo no te oigo. Puedes escribirme.",
        "Ahora mismo no puedo hablar. Puedes leer lo que digo.",
        "Mi voz de siempre no responde, así que oyes otra.",
    ),
    "de": _Words(
        "Ich kann gerade nicht denken: Wer mich betreibt, muss nachsehen. Was du sagst, bleibt "
        "erhalten.",
        "Einen Moment bitte: Gerade wird zu viel von mir verlangt. Ich antworte, sobald ich kann.",
        "Ich kann gerade nicht denken. Ich versuche es weiter und antworte, sobald ich kann.",
        "Ich höre dich gerade nicht. Du kannst mir schreiben.",
        "Ich kann gerade nicht sprechen. Du kannst lesen, was ich sage.",
        "Meine gewohnte Stimme antwortet nicht, deshalb hörst du eine andere.",
    ),
    "fr": _Words(
        "Je ne peux pas réfléchir en ce moment : la personne qui s'occupe de moi doit y regarder. "
        "Ce que vous dites est conservé.",
        "Un instant, s'il vous plaît : on me demande trop de choses en ce moment. Je réponds dès "
        "que possible.",
        "Je ne peux pas réfléchir en ce moment. Je continue d'essayer et je réponds dès que "
        "possible.",
        "Je ne vous entends pas en ce moment. Vous pouvez m'écrire.",
        "Je ne peux pas parler en ce moment. Vous pouvez lire ce que je dis.",
        "Ma voix habituelle ne répond pas, vous en entendez donc une autre.",
    ),
}


def words_of_failure(failure: ProviderFailure, language: str, *, has_spare_voice: bool) -> str:
    """Tell of a failure in a language (English where there are no words in it).

    Args:
        failure: what failed.
        language: an ISO 639-1 code.
        has_spare_voice: whether another voice speaks where the usual one fails.
    """
    words = _WORDS.get(language, _WORDS["en"])
    if failure.part == "stt":
        return words.deaf
    if failure.part == "tts":
        return words.other_voice if has_spare_voice else words.silent
    if not failure.passes:
        return words.no_thought
    return words.too_many if failure.kind == "rate_limit" else words.no_answer
