"""The search for words in logs finds them in every form."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from tests.e2e.forms import found_in

TEXT = 'said: "my parrot is Leonardo Ñandú"'


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.upper().encode(),
        json.dumps({"text": TEXT}).encode(),
        json.dumps(json.dumps({"text": TEXT})).encode(),
        repr(TEXT.encode()).encode(),
        quote(TEXT).encode(),
        TEXT.encode().hex().encode(),
        TEXT.encode().hex().upper().encode(),
        TEXT.encode("utf-16-le"),
        *(base64.b64encode(b"x" * before + TEXT.encode()) for before in range(4)),
        *(base64.urlsafe_b64encode(b"x" * before + TEXT.encode()) for before in range(4)),
    ],
    ids=range(17),
)
def test_a_word_is_found_however_it_is_written(data: bytes) -> None:
    """Escaped, percent-encoded, in hexadecimal or base64, in any case and at any place."""
    assert found_in(data, ["leonardo", "Ñandú", "parrot"]) == ["leonardo", "Ñandú", "parrot"]


def test_what_is_not_there_is_not_found() -> None:
    """Neither in text nor in noise."""
    assert found_in(json.dumps({"text": "nobody"}).encode(), ["leonardo", "Ñandú"]) == []
