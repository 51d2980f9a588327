"""Intents: the wishes that a sentence can have."""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """The kind of a wish."""

    NAME_GIVEN = auto()
    NAME_ASKED = auto()
    FACT_GIVEN = auto()
    FACTS_ASKED = auto()
    TOPICS_ASKED = auto()
    VISITS_ASKED = auto()
    LANGUAGE_WANTED = auto()
    LANGUAGE_UNKNOWN = auto()
    FORGET_ME = auto()
    YES = auto()
    NO = auto()
    HELLO = auto()
    HELP = auto()
    WHO_ARE_YOU = auto()
    HOW_ARE_YOU = auto()
    THANKS = auto()
    GOODBYE = auto()
    REPEAT = auto()
    STOP = auto()
    INAUDIBLE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Intent:
    """The wish of one sentence.

    Attributes:
        kind: The kind of the wish.
        value: The name, the fact in the speaker's words, or the language; otherwise empty.
    """

    kind: Kind
    value: str = ""


Patterns = tuple[tuple[Kind, tuple[str, ...]], ...]
"""The patterns of each kind, in the order in which they are tried."""
