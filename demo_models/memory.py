"""What the instructions say about the person: the `<memory>` block.

A language model knows nothing but its prompt. So the assistant writes what was stored into its
instructions, as one JSON object, and this reads it from there.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from demo_models.phrases import DEFAULT_LANGUAGE, LANGUAGES

_BLOCK: Final = re.compile(r"<memory>(.*?)</memory>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Memory:
    """One person, as far as the instructions tell.

    Attributes:
        visit: 1 at the first conversation.
        language: What is spoken now, one of `phrases.LANGUAGES`.
        name: What to call them.
        facts: What they asked to be remembered, in their words, oldest first.
        last_query: What they said last in an earlier conversation.
        last_response: What was answered to that.
    """

    visit: int = 1
    language: str = DEFAULT_LANGUAGE
    name: str | None = None
    facts: tuple[str, ...] = ()
    last_query: str | None = None
    last_response: str | None = None


def read_memory(instructions: str) -> Memory | None:
    """Return what the last memory block of `instructions` holds, or None where there is none.

    A value of the wrong type counts as missing: a model must answer whatever its prompt says.
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
