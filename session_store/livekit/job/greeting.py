"""What the agent says to a participant who comes: hello at first, "welcome back" after that."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from session_store.livekit.job.unknown_outcomes import OUTCOME_UNKNOWN
from session_store.tasks import happens_within

if TYPE_CHECKING:
    from livekit.agents import AgentSession
    from livekit.agents.voice import SpeechHandle

SILENT_WITHIN_S: Final = 5.0
"""How long a greeting waits for a user who speaks."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A participant's visit, to be greeted."""

    number: int
    """1 for the first visit."""
    language: str
    """An ISO 639-1 code."""
    name: str | None
    known: bool = True
    """False while the store is unreachable: then it is unknown whether the participant was here
    before."""


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


def speak(agent_session: AgentSession[Any], words: str) -> None:
    """Say words as they are; or have a model say them that cannot be given text to speak."""
    try:
        agent_session.say(words)
    except RuntimeError:
        # A realtime model without a TTS beside it speaks for itself.
        agent_session.generate_reply(instructions=f"Say this, and nothing else: {words}")


def answer(
    agent_session: AgentSession[Any], context: llm.ChatContext, *, without_tools: bool = False
) -> SpeechHandle:
    """Have the last words of a context answered.

    If a tool was called for these words and its outcome is unknown, no tool is called now. The
    model explains the situation, and the participant decides.

    Args:
        agent_session: the running session.
        context: what the model is given, unless it is a realtime model.
        without_tools: the record says that an outcome is unknown. The context may not say it: on
            its way to the model LiveKit leaves out the calls of tools that the agent has not.
    """
    without_tools = without_tools or _is_cut_short(context)
    tool_choice: NotGivenOr[llm.ToolChoice] = "none" if without_tools else NOT_GIVEN
    if isinstance(agent_session.current_agent.llm or agent_session.llm, llm.RealtimeModel):
        # It has the context already, and takes no other.
        return agent_session.generate_reply(tool_choice=tool_choice)
    return agent_session.generate_reply(chat_ctx=context, tool_choice=tool_choice)


async def fall_silent(agent_session: AgentSession[Any]) -> None:
    """Interrupt the agent; a no-op if it is not running."""
    with suppress(RuntimeError):
        await agent_session.interrupt(force=True)


async def wait_for_silence(agent_session: AgentSession[Any]) -> None:
    """Wait while the user speaks, for ``SILENT_WITHIN_S`` at most."""
    silent = asyncio.Event()

    def note(_: object) -> None:
        if agent_session.user_state != "speaking":
            silent.set()

    note(None)
    agent_session.on("user_state_changed", note)
    try:
        await happens_within(silent, SILENT_WITHIN_S)
    finally:
        agent_session.off("user_state_changed", note)


def _is_cut_short(context: llm.ChatContext) -> bool:
    """Return whether a tool with an unknown outcome was called for the user's last words."""
    for item in reversed(context.items):
        if isinstance(item, llm.FunctionCallOutput) and item.output == OUTCOME_UNKNOWN:
            return True
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            break
    return False
