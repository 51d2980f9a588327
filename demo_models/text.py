"""Text for patterns: one line, no accents, one kind of apostrophe, always of the same length.

A pattern matches the folded text. Its captures are cut out of the original at the same place: the
pattern `me llamo` finds "María" in "me llamo María".
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

# Typographic quotation marks, accents used as such, and the modifier letter.
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("\u2019\u2018`\u00b4\u02bc", "'"))
_EDGES: Final = ' \t.,;:!?¡¿…"“”„«»()[]{}*_-\u2013\u2014'
_SENTENCE_END: Final = re.compile(r"[.!?…]+\s+")


@dataclass(frozen=True, slots=True)
class Text:
    """One stretch of words.

    Attributes:
        original: The text as it was written.
        folded: The same text in lower case without accents. It has the same length.
    """

    original: str
    folded: str

    def part(self, span: tuple[int, int]) -> "Text":
        """Return the text at `span`, without punctuation at its edges."""
        start, end = span
        while start < end and self.original[start] in _EDGES:
            start += 1
        while end > start and self.original[end - 1] in _EDGES:
            end -= 1
        return Text(self.original[start:end], self.folded[start:end])

    def sentences(self) -> list["Text"]:
        """Return the sentences, without the punctuation around them."""
        cuts = [0]
        for match in _SENTENCE_END.finditer(self.original):
            cuts += [match.start(), match.end()]
        cuts.append(len(self.original))
        parts = [self.part((cuts[i], cuts[i + 1])) for i in range(0, len(cuts), 2)]
        return [part for part in parts if part.original]


def read_text(raw: str) -> Text:
    """Return `raw` as one line in both forms, without punctuation at its edges."""
    original = " ".join(unicodedata.normalize("NFC", raw).translate(_APOSTROPHES).split())
    text = Text(original, "".join(map(_fold, original)))
    return text.part((0, len(original)))


def fold(raw: str) -> str:
    """Return the folded form of `raw`, for comparisons."""
    return read_text(raw).folded


def clip(raw: str, limit: int) -> str:
    """Return at most `limit` characters of `raw`, cut between words if possible."""
    if len(raw) <= limit:
        return raw
    head = raw[:limit]
    return (head.rpartition(" ")[0] or head).rstrip(_EDGES)


def _fold(character: str) -> str:
    base = unicodedata.normalize("NFD", character)[0].lower()
    return base if len(base) == 1 else character
