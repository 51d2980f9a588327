"""What the assistant says to a participant who comes: hello at first, "welcome back" after that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from session_store.livekit import Visit


class _Greetings(NamedTuple):
    hello: str
    back: str
    back_by_name: str
    visit: str
    unknown: str


_GREETINGS: Final = {
    "en": _Greetings(
        "Hello! I am your assistant. What is your name?",
        "Welcome back!",
        "Welcome back, {name}!",
        "This is visit number {number}.",
        "Hello! I can't look up our earlier conversations right now, but we can talk.",
    ),
    "es": _Greetings(
        "¡Hola! Soy tu asistente. ¿Cómo te llamas?",
        "¡Bienvenido de nuevo!",
        "¡Qué bueno verte de nuevo, {name}!",
        "Esta es tu visita número {number}.",
        "¡Hola! Ahora mismo no puedo consultar nuestras conversaciones anteriores, pero podemos "
        "hablar.",
    ),
    "de": _Greetings(
        "Hallo! Ich bin dein Assistent. Wie heißt du?",
        "Willkommen zurück!",
        "Willkommen zurück, {name}!",
        "Das ist Besuch Nummer {number}.",
        "Hallo! Unsere früheren Gespräche kann ich gerade nicht abrufen, aber wir können reden.",
    ),
    "fr": _Greetings(
        "Bonjour ! Je suis votre assistant. Comment vous appelez-vous ?",
        "Content de vous revoir !",
        "Content de vous revoir, {name} !",
        "C'est la visite numéro {number}.",
        "Bonjour ! Je ne peux pas consulter nos conversations précédentes pour le moment, mais "
        "nous pouvons parler.",
    ),
}


def words_of_welcome(visit: Visit) -> str:
    """Greet a visit in its language; in English if the language is not one of the four."""
    greetings = _GREETINGS.get(visit.language, _GREETINGS["en"])
    if not visit.known:
        return greetings.unknown
    if visit.number <= 1:
        return greetings.hello
    back = greetings.back_by_name.format(name=visit.name) if visit.name else greetings.back
    return f"{back} {greetings.visit.format(number=visit.number)}"
