"""What the participant is told when a provider fails: short, and what they can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from session_store.livekit.providers.failures import ProviderFailure


class _FailureWords(NamedTuple):
    no_thought: str
    too_many: str
    no_answer: str
    deaf: str
    silent: str
    other_voice: str


_WORDS: Final = {
    "en": _FailureWords(
        "I can't answer right now. Your message is saved.",
        "One moment, please. I'm very busy right now, and will answer as soon as I can.",
        "I can't answer right now. I'll keep trying, and answer as soon as I can.",
        "I can't hear you right now. You can type to me.",
        "I can't speak right now. You can read what I say.",
        "My usual voice isn't available right now, so you hear another one.",
    ),
    "es": _FailureWords(
        "Ahora mismo no puedo responderte. Tu mensaje está guardado.",
        "Un momento, por favor. Ahora mismo tengo mucho trabajo, y te respondo en cuanto pueda.",
        "Ahora mismo no puedo responderte. Sigo intentándolo, y te respondo en cuanto pueda.",
        "Ahora mismo no te oigo. Puedes escribirme.",
        "Ahora mismo no puedo hablar. Puedes leer lo que digo.",
        "Mi voz de siempre no está disponible ahora mismo, así que oyes otra.",
    ),
    "de": _FailureWords(
        "Ich kann dir gerade nicht antworten. Deine Nachricht ist gespeichert.",
        "Einen Moment bitte. Ich habe gerade viel zu tun und antworte, sobald ich kann.",
        "Ich kann dir gerade nicht antworten. Ich versuche es weiter und antworte, sobald ich "
        "kann.",
        "Ich höre dich gerade nicht. Du kannst mir schreiben.",
        "Ich kann gerade nicht sprechen. Du kannst lesen, was ich sage.",
        "Meine gewohnte Stimme ist gerade nicht verfügbar, deshalb hörst du eine andere.",
    ),
    "fr": _FailureWords(
        "Je ne peux pas vous répondre pour le moment. Votre message est enregistré.",
        "Un instant, s'il vous plaît. J'ai beaucoup à faire en ce moment et je vous réponds dès "
        "que possible.",
        "Je ne peux pas vous répondre pour le moment. Je continue d'essayer et je vous réponds "
        "dès que possible.",
        "Je ne vous entends pas pour le moment. Vous pouvez m'écrire.",
        "Je ne peux pas parler pour le moment. Vous pouvez lire ce que je dis.",
        "Ma voix habituelle n'est pas disponible pour le moment, vous en entendez donc une autre.",
    ),
}


def words_of_failure(failure: ProviderFailure, language: str, *, has_spare_voice: bool) -> str:
    """Return what to say about a failure; in English if the language is not one of the four.

    Args:
        failure: what failed.
        language: an ISO 639-1 code.
        has_spare_voice: whether another voice speaks if the usual one fails.
    """
    words = _WORDS.get(language, _WORDS["en"])
    if failure.part == "stt":
        return words.deaf
    if failure.part == "tts":
        return words.other_voice if has_spare_voice else words.silent
    if not failure.passes:
        return words.no_thought
    return words.too_many if failure.kind == "rate_limit" else words.no_answer
