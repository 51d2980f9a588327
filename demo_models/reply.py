"""The answer to a request: words to say, or a tool to call."""

import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from demo_models.conversation import Conversation, ToolResult
from demo_models.intents import Intent, Kind
from demo_models.memory import Memory
from demo_models.perspective import to_listener
from demo_models.phrases import LANGUAGES, PHRASES, Phrases
from demo_models.text import clip, fold
from demo_models.understanding import INAUDIBLE, understand, understand_name

_MAX_FACTS: Final = 5
_MAX_TOPICS: Final = 3
_MAX_QUOTE: Final = 80
_MAX_SPOKEN_FACT: Final = 160


@dataclass(frozen=True, slots=True)
class Speech:
    """Words to say."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function tool to call."""

    name: str
    arguments: dict[str, Any]


Reply = Speech | ToolCall


def reply_to(conversation: Conversation, tools: Collection[str]) -> Reply:
    """Return the answer to `conversation`.

    Args:
        conversation: The request to the model.
        tools: Names of the function tools that the model may call.
    """
    memory = conversation.memory
    if conversation.result is not None:
        return Speech(_after_tool(conversation.result, memory))
    phrases = PHRASES[memory.language]
    if not conversation.said or not conversation.said.strip():
        return Speech(_named(phrases.listening, phrases.listening_named, memory))
    return _answer(conversation, _intent(conversation, conversation.said), tools)


def _intent(conversation: Conversation, said: str) -> Intent:
    intent = understand(said, conversation.memory.language)
    if intent.kind is Kind.OTHER and _asks_for_name(conversation.last_reply):
        name = understand_name(said)
        if name is not None:
            return Intent(Kind.NAME_GIVEN, name)
    return intent


def _answer(conversation: Conversation, intent: Intent, tools: Collection[str]) -> Reply:
    memory = conversation.memory
    phrases = PHRASES[memory.language]
    confirming = _asks_to_forget(conversation.last_reply)
    call: ToolCall | None = None
    if intent.kind is Kind.NAME_GIVEN:
        call = ToolCall("remember_name", {"name": intent.value})
    elif intent.kind is Kind.FACT_GIVEN:
        call = ToolCall("remember_fact", {"fact": intent.value})
    elif intent.kind is Kind.LANGUAGE_WANTED and intent.value != memory.language:
        call = ToolCall("set_language", {"language": intent.value})
    elif intent.kind is Kind.YES and confirming:
        call = ToolCall("forget_me", {"confirmed": True})
    elif intent.kind is Kind.FORGET_ME and "forget_me" not in tools:
        return Speech(phrases.no_tool)
    if call is not None:
        return call if call.name in tools else Speech(phrases.no_tool)
    if confirming and intent.kind is Kind.NO:
        return Speech(phrases.not_forgotten)
    if confirming and intent.kind is Kind.INAUDIBLE:
        return Speech(phrases.confirm_forgetting)
    return Speech(_say(conversation, intent))


def _say(conversation: Conversation, intent: Intent) -> str:
    memory = conversation.memory
    phrases = PHRASES[memory.language]
    fixed = _FIXED.get(intent.kind)
    if fixed is not None:
        return fixed(phrases)
    if intent.kind is Kind.TOPICS_ASKED:
        return _topics(conversation, phrases)
    if intent.kind is Kind.REPEAT:
        return conversation.last_reply or phrases.nothing_to_repeat
    about = _ABOUT.get(intent.kind)
    if about is not None:
        return about(phrases, memory)
    text = conversation.said or ""
    return phrases.other[zlib.crc32(fold(text).encode()) % len(phrases.other)]


_FIXED: Final[dict[Kind, Callable[[Phrases], str]]] = {
    Kind.LANGUAGE_WANTED: lambda phrases: phrases.language_already,
    Kind.LANGUAGE_UNKNOWN: lambda phrases: phrases.language_unknown,
    Kind.FORGET_ME: lambda phrases: phrases.confirm_forgetting,
    Kind.YES: lambda phrases: phrases.yes,
    Kind.NO: lambda phrases: phrases.no,
    Kind.HELP: lambda phrases: phrases.help,
    Kind.WHO_ARE_YOU: lambda phrases: phrases.who,
    Kind.HOW_ARE_YOU: lambda phrases: phrases.how_are_you,
    Kind.THANKS: lambda phrases: phrases.thanks,
    Kind.STOP: lambda phrases: phrases.stop,
    Kind.INAUDIBLE: lambda phrases: phrases.inaudible,
}


def _named(plain: str, named: str, memory: Memory) -> str:
    return named.format(name=_spoken_name(memory)) if memory.name else plain


def _spoken_name(memory: Memory) -> str:
    return clip(memory.name or "", _MAX_QUOTE)


def _your_name(phrases: Phrases, memory: Memory) -> str:
    return _named(phrases.name_unknown, phrases.your_name, memory)


def _visits(phrases: Phrases, memory: Memory) -> str:
    return phrases.first_visit if memory.visit == 1 else phrases.visits.format(visit=memory.visit)


def _facts(phrases: Phrases, memory: Memory) -> str:
    name = _spoken_name(memory)
    if not memory.facts:
        known = f"{phrases.your_name.format(name=name)} " if name else ""
        return f"{known}{phrases.nothing_kept}"
    clauses = (_clause(fact, phrases, memory.language) for fact in memory.facts[-_MAX_FACTS:])
    template = phrases.facts_and_name if name else phrases.facts
    return template.format(facts=phrases.link.join(clauses), name=name)


_ABOUT: Final[dict[Kind, Callable[[Phrases, Memory], str]]] = {
    Kind.NAME_ASKED: _your_name,
    Kind.FACTS_ASKED: _facts,
    Kind.VISITS_ASKED: _visits,
    Kind.HELLO: lambda phrases, memory: _named(phrases.hello, phrases.hello_named, memory),
    Kind.GOODBYE: lambda phrases, memory: _named(phrases.goodbye, phrases.goodbye_named, memory),
}


def _clause(fact: str, phrases: Phrases, language: str) -> str:
    told = to_listener(clip(fact, _MAX_SPOKEN_FACT), language)
    # German has its own word order after "dass": such a clause follows a comma.
    if phrases.before_fact:
        told = f", {told}" if fold(told).startswith("dass ") else f"{phrases.before_fact}{told}"
    return told


_TOPIC_OF: Final = {
    Kind.NAME_GIVEN: "name",
    Kind.NAME_ASKED: "name",
    Kind.FACTS_ASKED: "facts",
    Kind.VISITS_ASKED: "visits",
    Kind.LANGUAGE_WANTED: "language",
    Kind.LANGUAGE_UNKNOWN: "language",
    Kind.FORGET_ME: "forget",
    Kind.HELP: "help",
    Kind.WHO_ARE_YOU: "help",
}
_WITHOUT_TOPIC: Final = frozenset(Kind) - frozenset(_TOPIC_OF) - {Kind.FACT_GIVEN, Kind.OTHER}


def _topics(conversation: Conversation, phrases: Phrases) -> str:
    language = conversation.memory.language
    topics: list[str] = []
    for said in reversed(conversation.earlier):
        topic = _topic(said, phrases, language)
        if topic and topic not in topics:
            topics.append(topic)
        if len(topics) == _MAX_TOPICS:
            break
    if topics:
        return phrases.talked_about.format(topics="; ".join(reversed(topics)))
    query = conversation.memory.last_query
    if query and query != INAUDIBLE:
        return phrases.last_time.format(query=_quote(query))
    return phrases.nothing_said


def _topic(said: str, phrases: Phrases, language: str) -> str | None:
    intent = understand(said, language)
    if intent.kind in _WITHOUT_TOPIC or not said.strip():
        return None
    if intent.kind is Kind.FACT_GIVEN:
        told = to_listener(intent.value, language)
        return phrases.topics["fact"].format(text=_quote(told))
    if intent.kind is Kind.OTHER:
        return phrases.topics["said"].format(text=_quote(said))
    return phrases.topics[_TOPIC_OF[intent.kind]]


def _quote(text: str) -> str:
    return clip(" ".join(text.split()), _MAX_QUOTE).rstrip(".,;:!?… ")


def _after_tool(result: ToolResult, memory: Memory) -> str:
    language = memory.language
    wanted = result.arguments.get("language")
    if result.name == "set_language" and not result.is_error and wanted in LANGUAGES:
        # The instructions of this request may be older than the call.
        language = wanted
    phrases = PHRASES[language]
    if result.is_error:
        return phrases.tool_failed
    if result.name == "remember_name":
        name = str(result.arguments.get("name") or _spoken_name(memory))
        return phrases.nice_to_meet.format(name=clip(name, _MAX_QUOTE))
    if result.name == "remember_fact":
        fact = str(result.arguments.get("fact") or "")
        return phrases.fact_kept.format(fact=_clause(fact, phrases, language))
    if result.name == "set_language":
        return phrases.language_set
    if result.name == "forget_me":
        return phrases.forgotten if result.arguments.get("confirmed") else phrases.not_forgotten
    return _named(phrases.listening, phrases.listening_named, memory)


def _asks_to_forget(reply: str | None) -> bool:
    return reply is not None and any(
        phrases.confirm_forgetting in reply for phrases in PHRASES.values()
    )


_NAME_QUESTIONS: Final = (
    "what is your name",
    "what's your name",
    "your name?",
    "what is it?",
    "call you?",
    "como te llamas",
    "tu nombre?",
    "wie heißt du",
    "wie heisst du",
    "dein name?",
    "t'appelles-tu",
    "ton nom ?",
    "ton nom?",
    "ton prenom",
)


def _asks_for_name(reply: str | None) -> bool:
    if reply is None or "?" not in reply:
        return False
    # The folded text lacks the question mark at the end.
    folded = f"{fold(reply)}?"
    return any(question in folded for question in _NAME_QUESTIONS)
