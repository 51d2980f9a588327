"""Turns a person's words about themselves into words to them: "my cat" becomes "your cat".

Each language has its own words for it. A verb form that is the same for "I" and "he" changes only
beside its pronoun.
"""

import re
from functools import partial
from typing import Final

from demo_models.phrases import LANGUAGES

_SWITCHES: Final = {
    "en": {
        "i am": "you are",
        "i'm": "you're",
        "i was": "you were",
        "am i": "are you",
        "was i": "were you",
        "i've": "you've",
        "i'll": "you'll",
        "i'd": "you'd",
        "i": "you",
        "me": "you",
        "my": "your",
        "mine": "yours",
        "myself": "yourself",
        "you are": "I am",
        "you're": "I'm",
        "your": "my",
        "yours": "mine",
        "yourself": "myself",
        "to you": "to me",
        "with you": "with me",
        "for you": "for me",
        "about you": "about me",
        "like you": "like me",
        "love you": "love me",
        "you": "I",
    },
    "es": {
        "yo": "tú",
        "me": "te",
        "mí": "ti",
        "conmigo": "contigo",
        "mi": "tu",
        "mis": "tus",
        "mío": "tuyo",
        "mía": "tuya",
        "míos": "tuyos",
        "mías": "tuyas",
        "soy": "eres",
        "estoy": "estás",
        "tengo": "tienes",
        "vivo": "vives",
        "yo trabajo": "tú trabajas",
        "trabajo en": "trabajas en",
        "trabajo como": "trabajas como",
        "llamo": "llamas",
        "nací": "naciste",
        "odio": "odias",
        "prefiero": "prefieres",
        "quiero": "quieres",
        "necesito": "necesitas",
        "puedo": "puedes",
        "voy": "vas",
        "vengo": "vienes",
        "he": "has",
        "hablo": "hablas",
    },
    "de": {
        "ich bin": "du bist",
        "bin ich": "bist du",
        "bin": "bist",
        "ich war": "du warst",
        "war ich": "warst du",
        "ich mag": "du magst",
        "mag ich": "magst du",
        "ich will": "du willst",
        "will ich": "willst du",
        "ich muss": "du musst",
        "muss ich": "musst du",
        "ich kann": "du kannst",
        "kann ich": "kannst du",
        "ich": "du",
        "mich": "dich",
        "mir": "dir",
        "mein": "dein",
        "meine": "deine",
        "meinem": "deinem",
        "meinen": "deinen",
        "meiner": "deiner",
        "meines": "deines",
        "habe": "hast",
        "wohne": "wohnst",
        "heiße": "heißt",
        "heisse": "heißt",
        "hasse": "hasst",
        "arbeite": "arbeitest",
        "komme": "kommst",
        "brauche": "brauchst",
        "esse": "isst",
        "trinke": "trinkst",
        "spreche": "sprichst",
        "lebe": "lebst",
        "liebe": "liebst",
    },
    "fr": {
        "je suis": "tu es",
        "je m'appelle": "tu t'appelles",
        "j'ai": "tu as",
        "j'aime": "tu aimes",
        "je n'aime": "tu n'aimes",
        "je t'aime": "tu m'aimes",
        "j'adore": "tu adores",
        "j'habite": "tu habites",
        "je déteste": "tu détestes",
        "je travaille": "tu travailles",
        "je parle": "tu parles",
        "je mange": "tu manges",
        "je préfère": "tu préfères",
        "j'étais": "tu étais",
        "je vais": "tu vas",
        "je": "tu",
        "j'": "tu ",
        "me": "te",
        "m'": "t'",
        "moi": "toi",
        "mon": "ton",
        "ma": "ta",
        "mes": "tes",
        "mien": "tien",
        "mienne": "tienne",
    },
}


def _compile(switches: dict[str, str]) -> re.Pattern[str]:
    longest_first = sorted(switches, key=len, reverse=True)
    # A word that ends in an apostrophe stands directly before the next one.
    words = (
        re.escape(word) + (r"(?=\w)" if word[-1] == "'" else r"(?!\w)") for word in longest_first
    )
    return re.compile(rf"(?<![\w'])(?:{'|'.join(words)})", re.IGNORECASE)


# "dass ich Tee mag": the verb is at the end, far from its pronoun.
_VERB_LAST: Final = re.compile(r"(dass ich .*)\b(mag|will|muss|kann|darf|war)", re.IGNORECASE)
_SECOND_PERSON: Final = {
    "mag": "magst",
    "will": "willst",
    "muss": "musst",
    "kann": "kannst",
    "darf": "darfst",
    "war": "warst",
}

_COMPILED: Final = {language: _compile(switches) for language, switches in _SWITCHES.items()}


def to_listener(fact: str, language: str) -> str:
    """Return `fact` as the agent says it back to the person.

    A fact stays in its own language. If the words of `language` change nothing in it, the other
    languages are tried.
    """
    if match := _VERB_LAST.fullmatch(fact):
        fact = f"{match[1]}{_SECOND_PERSON[match[2].lower()]}"
    for candidate in (language, *(other for other in LANGUAGES if other != language)):
        told, changes = _COMPILED[candidate].subn(partial(_switch, _SWITCHES[candidate]), fact)
        if changes:
            return told
    return fact


def _switch(switches: dict[str, str], match: re.Match[str]) -> str:
    return switches[match.group().lower()]
