"""The grammar of the sentences that the demo understands by ear.

The grammar lists every sentence. Speech that does not fit is rejected, not bent into the nearest
sentence. It is written in JSGF, the format that pocketsphinx reads.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from demo_models import words

_DECOY_WEIGHT: Final = "1e-8"
"""How likely a decoy is beforehand, relative to a sentence."""

_DECOY_PREFIX: Final = "other_"

_RULES: Final = """
public <utterance> = /1/ <sentence> | /{decoy_weight}/ <decoy> ;
<sentence> = <statement> | <question> | <request> | <courtesy> ;

<statement> = <introduction> | [ please ] ( remember [ that ] | don't forget that ) <fact> ;
<introduction> = ( my name is | my name's | i am | i'm | [ please | you can ] call me | this is )
    <first_name> ;

<fact> = ( my | the ) <pet> is called <first_name>
    | ( my | the ) <object> is [ called ] ( <color> | <first_name> )
    | my <person> is called <first_name>
    | my <person> lives in <place>
    | my favorite color is <color>
    | my favorite ( food | thing ) is <thing>
    | my lucky number is <number>
    | my birthday is in <month>
    | my ( <pet> | <person> ) is <number> years old
    | my ( <event> | <vowel_event> ) is on <weekday> [ <hour> ]
    | i have ( a <event> | an <vowel_event> ) on <weekday> [ <hour> ]
    | i have <number> ( children | brothers | sisters | cats | dogs )
    | i am <number> years old
    | i ( like | love | hate | don't like | do not like ) <thing>
    | i am allergic to <thing>
    | i ( live in | work in | come from | am from | was born in ) <place>
    | the ( key | keys | phone | umbrella | bag ) ( is | are ) <spot>
    ;
<hour> = at <number> [ o'clock ] ;
<place> = <city> | <country> ;

<question> = ( what is | what's ) my name
    | who am i
    | do you ( know | remember ) ( my name | who i am | me )
    | what did i ( ask you to remember | tell you )
    | what do you ( know | remember ) [ about me ]
    | what ( did we talk | were we talking ) about [ last time ]
    | how often ( was i | have i been ) here
    | how many times ( was i | have i been ) here
    | what can you do
    | who are you
    | ( what is | what's ) your name
    | how are you
    ;

<request> = [ please | can you ] speak <language> [ please ]
    | forget ( me | about me | everything [ about me ] )
    | delete ( my data | everything )
    | help [ me ] [ please ]
    | stop
    | ( repeat | say ) that again
    ;

<courtesy> = yes [ please ] | no [ thank you ] | hello | hello again | hi there
    | good ( morning | afternoon | evening )
    | thank you [ very much ] | thanks a lot | goodbye | bye bye | see you later
    ;

<decoy> = [ i am | i'm | my name is | this is | what is | call | remember [ the ] | speak ]
    <decoy_word>
    ;
"""

_LISTS: Final = {
    "first_name": words.FIRST_NAMES,
    "city": words.CITIES,
    "country": words.COUNTRIES,
    "language": words.LANGUAGES,
    "weekday": words.WEEKDAYS,
    "month": words.MONTHS,
    "color": words.COLORS,
    "pet": words.PETS,
    "person": words.PEOPLE,
    "object": words.OBJECTS,
    "thing": words.THINGS,
    "event": words.EVENTS,
    "vowel_event": words.VOWEL_EVENTS,
    "number": words.NUMBERS,
    "spot": words.PLACES,
}

_NAMES: Final = (
    *words.FIRST_NAMES,
    *words.CITIES,
    *words.COUNTRIES,
    *words.LANGUAGES,
    *words.WEEKDAYS,
    *words.MONTHS,
)
_ALWAYS_CAPITAL: Final = MappingProxyType({"i": "I", "i'm": "I'm"})
_QUESTION_WORDS: Final = frozenset({"what", "what's", "who", "how", "do"})
_TOKEN: Final = re.compile(r"[a-z']+")
_NOT_SPOKEN: Final = re.compile(r"<[^>]*>|/[^/]*/|[^a-z' ]")


@dataclass(frozen=True, slots=True)
class Grammar:
    """A vocabulary, ready for pocketsphinx.

    Attributes:
        jsgf: The grammar.
        pronunciations: (word, phones) to add to the dictionary before the grammar is loaded.
    """

    jsgf: str
    pronunciations: tuple[tuple[str, str], ...]


def build(pronounce: Callable[[str], str | None]) -> Grammar:
    """Return the grammar of the demo.

    Args:
        pronounce: Returns the phones of a word, space-separated, or None for an unknown word.

    Raises:
        ValueError: A word has no pronunciation, or could be written in two ways.
    """
    lists = {name: tuple(map(str.lower, entries)) for name, entries in _LISTS.items()}
    spoken = {
        word
        for text in (
            _NOT_SPOKEN.sub(" ", _RULES),
            *(" ".join(entries) for entries in lists.values()),
        )
        for word in _TOKEN.findall(text)
    }
    phones: dict[str, str] = {}
    for word in sorted(spoken | set(words.DECOYS)):
        known = pronounce(word)
        if known is None:
            raise ValueError(f"not in the pronouncing dictionary: {word!r}")
        phones[word] = known
    lists["decoy_word"] = tuple(f"{_DECOY_PREFIX}{word}" for word in words.DECOYS)
    rules = [_RULES.replace("{decoy_weight}", _DECOY_WEIGHT)]
    rules += [f"<{name}> = {' | '.join(entries)} ;" for name, entries in lists.items()]
    return Grammar(
        jsgf="\n".join(["#JSGF V1.0;", "grammar demo;", *rules, ""]),
        pronunciations=tuple(_pronunciations(phones)),
    )


def _pronunciations(phones: dict[str, str]) -> Iterator[tuple[str, str]]:
    for word in words.DECOYS:
        yield f"{_DECOY_PREFIX}{word}", phones[word]
    for name in map(str.lower, words.FIRST_NAMES):
        # In the dictionary, "word(n)" is the n-th pronunciation of a word; some words have several.
        variant = words.PRONUNCIATIONS.get(name)
        if variant is not None:
            yield f"{name}(8)", variant
        # The dictionary ends "Sofia" with a schwa; most speakers end it with an open vowel.
        known = variant or phones[name]
        if known.endswith(" AH"):
            yield f"{name}(9)", f"{known[:-2]}AA"


def transcript(hypothesis: str) -> str | None:
    """Return the recogniser's words in written form, or None for a decoy."""
    tokens = hypothesis.split()
    if not tokens or any(token.startswith(_DECOY_PREFIX) for token in tokens):
        return None
    text = " ".join(_ALWAYS_CAPITAL.get(token) or _CAPITALS.get(token) or token for token in tokens)
    mark = "?" if tokens[0] in _QUESTION_WORDS and not hypothesis.startswith("don't") else ""
    return f"{text[0].upper()}{text[1:]}{mark}"


_CAPITALS: Final = {word.lower(): word for name in _NAMES for word in name.split()}
