"""The `<memory>` block of the instructions, with what is known of the person.

A language model knows only its prompt. So the assistant writes the stored facts into its
instructions as one JSON object, and this module reads them there.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from demo_models.phrases import DEFAULT_LANGUAGE, LANGUAGES

_BLOCK: Final = re.compile(r"<memory>(.*?)</memory>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Memory:
    """One person, as the instructions describe them.

    Attributes:
        visit: 1 for the first conversation.
        language: The present language, one of `phrases.LANGUAGES`.
        name: The name that the person likes to be called.
        facts: Facts to remember, in the person's words, the oldest first.
        last_query: The person's last words in an earlier conversation.
        last_response: The answer to those words.
    """

    visit: int = 1
    language: str = DEFAULT_LANGUAGE
    name: str | None = None
    facts: tuple[str, ...] = ()
    last_query: str | None = None
    last_response: str | None = None


def read_memory(instructions: str) -> Memory | None:
    """Return the last memory block of `instructions`; None if it has no block.

    A value of the wrong type counts as missing: a model must answer to any prompt.
    """
    blocks = _BLOCK.findall(instructions)
    if not blocks:
        return None
    try:
        values = json.loads(blocks[-1])
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    visit = values.get("visit")
    language = values.get("language")
    facts = values.get("facts")
    return Memory(
        visit=visit if isinstance(visit, int) and visit > 0 else 1,
        language=language if language in LANGUAGES else DEFAULT_LANGUAGE,
        name=_text(values.get("name")),
        facts=tuple(filter(None, map(_text, facts))) if isinstance(facts, list) else (),
        last_query=_text(values.get("last_query")),
        last_response=_text(values.get("last_response")),
    )


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
