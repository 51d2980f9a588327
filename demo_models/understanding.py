"""Finds the intent of a sentence by patterns in four languages, which are all active.

Every pattern is anchored at both ends and has no nested repetition, so the time to match is
proportional to the length of the text.
"""

import re
from typing import Final

from demo_models import patterns_de, patterns_en, patterns_es, patterns_fr
from demo_models.intents import Intent, Kind
from demo_models.names import is_known, read_name
from demo_models.phrases import LANGUAGES
from demo_models.text import Text, clip, read_text

INAUDIBLE: Final = "[inaudible]"
"""The transcript of speech that was not understood."""

_MAX_FACT: Final = 300


_LANGUAGE_NAMES: Final = {
    "en": "english|ingles|englisch|anglais",
    "es": "spanish|espanol|castellano|spanisch|espagnol",
    "de": "german|aleman|deutsch|allemand",
    "fr": "french|frances|franzosisch|francais",
}
_LANGUAGE_NAME: Final = "|".join(
    f"(?P<{language}>{names})" for language, names in _LANGUAGE_NAMES.items()
)
_OTHER_LANGUAGE: Final = (
    "chinese|mandarin|cantonese|japanese|korean|hindi|arabic|russian|portuguese|italian|dutch|"
    "polish|turkish|swedish|greek|latin|hebrew|ukrainian|chino|japones|italiano|portugues|ruso|"
    "arabe|chinesisch|japanisch|italienisch|portugiesisch|russisch|arabisch|turkisch|polnisch|"
    "chinois|japonais|italien|portugais|russe|turc"
)
_SPEAK: Final = (
    # English
    "(?:(?:can|could|would|will) (?:you|we) |let's |let us |i (?:want|would like|'d like) (?:you )?"
    "to |do you )?(?:please )?(?:speak|talk|switch|change|answer|reply|continue)"
    "(?: to me| with me| the language)?(?: in| to| into)? "
    # Spanish
    "|(?:puedes|podrias|puede|podemos|quiero)? ?(?:habla|hablar|hablas|hable|hablemos|hablame|"
    "cambia|cambiar|cambiemos|responde|contesta|sigue)(?: conmigo)?(?: en| al| a)? "
    # German
    "|(?:bitte )?(?:kannst du |konnen wir |lass uns |wollen wir |konntest du )?(?:bitte )?"
    "(?:sprich|sprechen wir|sprechen|sprichst du|rede|red|antworte|wechsle|wechsel|weiter)?"
    "(?: bitte)?(?: mit mir)? ?(?:auf |zu |ins |in )?"
    # French
    "|(?:peux-tu |tu peux |pouvez-vous |on peut |est-ce que tu peux )?"
    "(?:parle|parles|parles-tu|parlez|parlez-vous|"
    "parler|parlons|parle-moi|reponds|repondez|passe|passons|continue)(?: avec moi)?"
    "(?: en| au| a)? "
    # The language alone
    "|(?:in|en|auf|now|please) |"
)
_SPEAK_END: Final = (
    "(?: please| now| with me| to me| instead| por favor| ahora| conmigo| bitte| sprechen| reden"
    "| mit mir| s'il (?:te|vous) plait| maintenant| avec moi)*"
)

# Politeness in front of a sentence, which means nothing by itself.
_OPENING: Final = re.compile(
    r"(?:(?:hello|hi|hey|good (?:morning|afternoon|evening)|well|ok|okay|so|um|uh|now|thanks|"
    r"thank you|please|hola|buenos dias|buenas(?: tardes| noches)?|bueno|pues|vale|por favor|"
    r"hallo|guten (?:tag|morgen|abend)|also|gut|na|bitte|danke|bonjour|bonsoir|salut|alors|bon|"
    r"merci|s'il te plait)(?: there| again)?[,.!;:]* ){1,3}"
)


def _with_commas(pattern: str) -> re.Pattern[str]:
    """Compile `pattern`; a comma may stand before each of its spaces: "Yes, please"."""
    return re.compile(pattern.replace(" ", ",? "))


def _compile(kind: Kind, ways: tuple[str, ...]) -> re.Pattern[str]:
    pattern = "|".join(ways)
    if kind in {Kind.NAME_GIVEN, Kind.FACT_GIVEN}:
        return re.compile(pattern)
    return _with_commas(pattern)


_COMPILED: Final = {
    language: tuple((kind, _compile(kind, ways)) for kind, ways in patterns)
    for language, patterns in (
        ("en", patterns_en.PATTERNS),
        ("es", patterns_es.PATTERNS),
        ("de", patterns_de.PATTERNS),
        ("fr", patterns_fr.PATTERNS),
    )
}
_WANTS_LANGUAGE: Final = _with_commas(f"(?:{_SPEAK})(?:{_LANGUAGE_NAME}){_SPEAK_END}")
_WANTS_OTHER_LANGUAGE: Final = _with_commas(f"(?:{_SPEAK})(?:{_OTHER_LANGUAGE}){_SPEAK_END}")


def understand(raw: str, language: str) -> Intent:
    """Return the intent of `raw`.

    The whole text is tried first, then the text without the politeness before it. Then its
    sentences are tried from the last one: of two wishes, the second wants an answer.

    Args:
        raw: Spoken or typed words.
        language: The language to try first, because some words belong to two languages.
    """
    if raw.strip().casefold() == INAUDIBLE:
        return Intent(Kind.INAUDIBLE)
    text = read_text(raw)
    for candidate in (text, *reversed(text.sentences())):
        intent = _match(candidate, language) or _match_without_opening(candidate, language)
        if intent is not None:
            return intent
    return Intent(Kind.OTHER)


def understand_name(raw: str) -> str | None:
    """Return the name in `raw`, an answer to "What is your name?", or None."""
    return read_name(read_text(raw), sure=False)


def _match_without_opening(text: Text, language: str) -> Intent | None:
    opening = _OPENING.match(text.folded)
    if opening is None:
        return None
    return _match(text.part((opening.end(), len(text.folded))), language)


def _match(text: Text, language: str) -> Intent | None:
    if match := _WANTS_LANGUAGE.fullmatch(text.folded):
        return Intent(Kind.LANGUAGE_WANTED, match.lastgroup or language)
    if _WANTS_OTHER_LANGUAGE.fullmatch(text.folded):
        return Intent(Kind.LANGUAGE_UNKNOWN)
    for candidate in (language, *(other for other in LANGUAGES if other != language)):
        for kind, pattern in _COMPILED[candidate]:
            match = pattern.fullmatch(text.folded)
            intent = match and _intent(kind, match, text, candidate)
            if intent:
                return intent
    return None


def _intent(kind: Kind, match: re.Match[str], text: Text, language: str) -> Intent | None:
    if kind is Kind.NAME_GIVEN:
        name = _name(match, text)
        return Intent(kind, name) if name else None
    if kind is Kind.FACT_GIVEN:
        fact = text.part(match.span("fact"))
        # "Remember that my name is Maria" gives a name.
        for pattern_kind, pattern in _COMPILED[language]:
            if pattern_kind is Kind.NAME_GIVEN and (inner := pattern.fullmatch(fact.folded)):
                name = _name(inner, fact)
                if name:
                    return Intent(Kind.NAME_GIVEN, name)
        return Intent(kind, clip(fact.original, _MAX_FACT))
    return Intent(kind)


def _name(match: re.Match[str], text: Text) -> str | None:
    group = match.lastgroup
    if group is None:
        return None
    name = text.part(match.span(group))
    # German writes every noun with a capital letter: "ich bin Arzt".
    if group == "first" and not is_known(name):
        return None
    return read_name(name, sure=group == "sure")
