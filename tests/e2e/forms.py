"""The forms in which a word may hide: as it is, escaped, or encoded."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable


def found_in(data: bytes, words: Iterable[str]) -> list[str]:
    """Return those words that data holds in some form, whatever their case."""
    lowered = data.lower()
    return [
        word
        for word in words
        if any(
            any(form.lower() in lowered for form in _spellings(each))
            # Base64 tells large letters from small ones.
            or any(form in data for form in _base64_of(each.encode()))
            for each in _cases(word)
        )
    ]


def _cases(word: str) -> set[str]:
    return {word, word.lower(), word.upper(), word.capitalize()}


def _spellings(word: str) -> set[bytes]:
    raw = word.encode()
    escaped = json.dumps(word)[1:-1]
    return {
        raw,
        escaped.encode(),
        json.dumps(escaped)[1:-1].encode(),
        repr(raw)[2:-1].encode(),
        quote(word).encode(),
        quote_plus(word).encode(),
        raw.hex().encode(),
        word.encode("utf-16-le"),
    }


def _base64_of(raw: bytes) -> set[bytes]:
    """Return how a word looks within encoded text, at each of the three places that it may begin.

    The letters at its ends are left out: they depend on what stands beside it.
    """
    forms = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        forms |= {encoded[first:last], encoded[first:last].translate(_URL_SAFE)}
    return forms


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
