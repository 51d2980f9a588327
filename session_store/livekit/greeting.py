"""What is said when somebody comes: hello once, and "welcome back" ever after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes, and how often that was."""

    number: int
    """1 for the first time."""
    language: str
    name: str | None


class _Words(NamedTuple):
    hello: str
    back: str
    back_by_name: str
    visit: str


_WORDS = {
    "en": _Words(
        "Hello! I am your assistant. What is your name?",
        "Welcome back!",
        "Welcome back, {name}!",
        "This is visit number {number}.",
    ),
    "es": _Words(
        "¡Hola! Soy tu asistente. ¿Cómo te llamas?",
        "¡Bienvenido de nuevo!",
        "¡Qué bueno verte de nuevo, {name}!",
        "Esta es tu visita número {number}.",
    ),
    "de": _Words(
        "Hallo! Ich bin dein Assistent. Wie heißt du?",
        "Willkommen zurück!",
        "Willkommen zurück, {name}!",
        "Das ist Besuch Nummer {number}.",
    ),
    "fr": _Words(
        "Bonjour ! Je suis votre assistant. Comment vous appelez-vous ?",
        "Content de vous revoir !",
        "Content de vous revoir, {name} !",
        "C'est la visite numéro {number}.",
    ),
}


def words_of_welcome(visit: Visit) -> str:
    """Greet a visit in its language (English where there are no words in it)."""
    words = _WORDS.get(visit.language, _WORDS["en"])
    if visit.number <= 1:
        return words.hello
    back = words.back_by_name.format(name=visit.name) if visit.name else words.back
    return f"{back} {words.visit.format(number=visit.number)}"
