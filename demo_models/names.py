"""Tells a name from other words that can follow "I am"."""

import re
from typing import Final

from demo_models.text import Text, fold
from demo_models.words import FIRST_NAMES

_MAX_WORDS: Final = 5
_MAX_CHARACTERS: Final = 60

_WORD: Final = re.compile(r"[^\W\d_][^\s\d,;:!?()<>{}\[\]\"/\\|=+*&%$#@^~_]*")
_ENDS: Final = re.compile(
    r"[,;:!?]|\.(?:\s+(?=\S{4})|$)|\s(?:and|but|y|e|und|aber|et|mais|so|please|por favor|bitte|"
    r"by the way|s'il (?:te|vous) plait|again|now|not|pero)(?=\s|$)|\s[-\u2013\u2014(]"
)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PARTICLES: Final = _set("""
    al bin da das de del della der di do dos du el ibn la las le los san ter van von y zu
""")
_NO_NAMES: Final = _set("""
    a an the not no yes in on at of for to from so very just here there what who why how when where
    which that this it my your his her our their me you he she we they is are was will be been back
    later again fine good great okay ok sorry sure ready happy sad tired hungry sick ill busy lost
    done going looking trying calling getting new old from with without about english spanish german
    french american british italian hello hi hey bye goodbye help stop thanks thank please nothing
    nobody something someone maybe never always today tomorrow yesterday now if
    un una el la lo los las no si en de mi tu su muy que quien como cuando donde bien mal aqui
    cansado cansada hola adios gracias espanol ingles aleman frances nada nadie
    ein eine einen der die das den nicht kein keine in im aus von zu mein dein sehr so da hier
    mude gut krank wer wie was wo warum ja nein hallo danke deutsch englisch franzosisch spanisch
    nichts niemand
    une le les ne pas en au du mon ton tres fatigue fatiguee content contente ici la qui que quoi
    oui non bonjour merci francais francaise anglais allemand espagnol rien personne desole desolee
    """)
_KNOWN: Final = frozenset(map(fold, FIRST_NAMES)) | _set("""
    alejandra andre ana antoine anton bjorn boubacar camille chiara clement dieter emil etienne
    fatou francois francoise friedrich giovanni gunter heike heinz helene ignacio ines jakob jerome
    jiri jorg jurgen kathe laszlo lea leila lena li lukas luca lukas mariana matteo mei mia mohamed
    moritz nadine noemi olivier paolo pilar raul renee rene rocio ruben sabine salvador seung soren
    thierry tomas ulrich uwe wang wei xavier yann yusuf zoe zoltan
    """)


def read_name(text: Text, *, sure: bool) -> str | None:
    """Return the name at the start of `text` in its written form, or None.

    Args:
        text: The words after those that announce a name.
        sure: Whether the announcement is clear ("my name is"). Otherwise ("I am") only a known
            first name counts, or words with capital letters.
    """
    end = _ENDS.search(text.folded)
    text = text.part((0, end.start() if end else len(text.folded)))
    words = text.original.split(" ")
    if not text.original or len(words) > _MAX_WORDS or len(text.original) > _MAX_CHARACTERS:
        return None
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    first = text.folded.split(" ", 1)[0]
    if first in _NO_NAMES:
        return None
    if not sure and first not in _KNOWN and any(_is_common(word) for word in words):
        return None
    return " ".join(words if text.original != text.original.lower() else map(_capital, words))


def is_known(text: Text) -> bool:
    """Return whether `text` begins with one of the common first names."""
    return text.folded.split(" ", 1)[0] in _KNOWN


def _is_common(word: str) -> bool:
    return word[0].islower() and word.lower() not in _PARTICLES


def _capital(word: str) -> str:
    if word in _PARTICLES:
        return word
    return re.sub(r"(?:^|(?<=-)|(?<=\bo'))[^\W\d_]", lambda match: match.group().upper(), word)
