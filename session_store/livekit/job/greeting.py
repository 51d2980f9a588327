"""What is said when somebody comes: hello once, and "welcome back" ever after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from session_store.livekit.job.unknown_outcomes import OUTCOME_UNKNOWN

if TYPE_CHECKING:
    from livekit.agents import AgentSession
    from livekit.agents.voice import SpeechHandle


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes, and how often that was."""

    number: int
    """1 for the first time."""
    language: str
    name: str | None
    known: bool = True
    """False while the store is away: nothing is known of whoever came, not even whether they ever
    did before."""


class _Words(NamedTuple):
    hello: str
    back: str
    back_by_name: str
    visit: str
    unknown: str


_WORDS = {
    "en": _Words(
        "Hello! I am your assistant. What is your name?",
        "Welcome back!",
        "Welcome back, {name}!",
        "This is visit number {number}.",
        "Hello! I cannot reach my memory just now, but we can talk.",
    ),
    "es": _Words(
        "¡Hola! Soy tu asistente. ¿Cómo te llamas?",
        "¡Bienvenido de nuevo!",
        "¡Qué bueno verte de nuevo, {name}!",
        "Esta es tu visita número {number}.",
        "¡Hola! Ahora mismo no tengo acceso a mi memoria, pero podemos hablar.",
    ),
    "de": _Words(
        "Hallo! Ich bin dein Assistent. Wie heißt du?",
        "Willkommen zurück!",
        "Willkommen zurück, {name}!",
        "Das ist Besuch Nummer {number}.",
        "Hallo! An meine Erinnerungen komme ich gerade nicht, aber wir können reden.",
    ),
    "fr": _Words(
        "Bonjour ! Je suis votre assistant. Comment vous appelez-vous ?",
        "Content de vous revoir !",
        "Content de vous revoir, {name} !",
        "C'est la visite numéro {number}.",
        "Bonjour ! Ma mémoire ne répond pas en ce moment, mais nous pouvons parler.",
    ),
}


def words_of_welcome(visit: Visit) -> str:
    """Greet a visit in its language (English where there are no words in it)."""
    words = _WORDS.get(visit.language, _WORDS["en"])
    if not visit.known:
        return words.unknown
    if visit.number <= 1:
        return words.hello
    back = words.back_by_name.format(name=visit.name) if visit.name else words.back
    return f"{back} {words.visit.format(number=visit.number)}"


def speak(agent_session: AgentSession[Any], words: str) -> None:
    """Have words said, as they are, or by a model that cannot be given the words of others."""
    try:
        agent_session.say(words)
    except RuntimeError:
        # A realtime model without a TTS beside it; it speaks for itself.
        agent_session.generate_reply(instructions=f"Say this, and nothing else: {words}")


def answer(agent_session: AgentSession[Any], context: llm.ChatContext) -> SpeechHandle:
    """Have the last words of a context answered, which nobody has answered yet.

    Where a tool was called for them whose outcome is unknown, no tool is called now: the model
    says how things are, and the person decides.
    """
    tool_choice: NotGivenOr[llm.ToolChoice] = "none" if _is_cut_short(context) else NOT_GIVEN
    if isinstance(agent_session.current_agent.llm or agent_session.llm, llm.RealtimeModel):
        # It has the context already, and takes no other.
        return agent_session.generate_reply(tool_choice=tool_choice)
    return agent_session.generate_reply(chat_ctx=context, tool_choice=tool_choice)


def _is_cut_short(context: llm.ChatContext) -> bool:
    """Tell whether a tool was called for the user's last words whose outcome is unknown."""
    for item in reversed(context.items):
        if isinstance(item, llm.FunctionCallOutput) and item.output == OUTCOME_UNKNOWN:
            return True
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            break
    return False
