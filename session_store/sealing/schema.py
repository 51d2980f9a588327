"""Versions of sealed records: text of any version becomes a current model.

The first byte of a record is its version. A turn keeps it, because the next turn is chained to its
bytes; content keeps it until its next change. So one session may hold turns of several versions.
Each version has its own reader.

Version 1 wrote turns and contents as JSON. Version 2 writes turns in fewer bytes (``turn_codec``);
its contents are those of version 1. Version 3 knows several places of a session instead of one; its
turns are those of version 2. To make version n + 1:

1. Add entry n + 1 to ``READERS`` and raise ``models.SCHEMA_VERSION``, which is written from then
   on. If the models change, the readers of old versions must still make them: give new fields a
   default, or fill them in the reader.
2. Freeze some bytes of it in a test, as for earlier versions. A reader must never change what it
   makes of the frozen bytes of its version.
3. A process that does not know a version raises ``UnknownSchema``. Once there are records in
   production, first release a version that reads n + 1, and then one that writes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from session_store.errors import InvalidValue
from session_store.models import MAX_CONTENT_BYTES, SCHEMA_VERSION, SessionContent, Turn
from session_store.sealing.turn_codec import decode_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Model = TypeVar("Model", bound=BaseModel)


class Reader(NamedTuple):
    """Reads the text of one version. Both raise ValueError for any other text."""

    turn: Callable[[bytes], Turn]
    content: Callable[[bytes], SessionContent]


def read_turn(schema: int, plain: bytes) -> Turn:
    """Read a turn that was sealed as version ``schema``.

    Raises:
        ValueError: the text is not a turn of that version.
    """
    return READERS[schema].turn(plain)


def read_content(schema: int, plain: bytes) -> SessionContent:
    """Read content that was sealed as version ``schema``.

    Raises:
        ValueError: the text is not content of that version.
    """
    return READERS[schema].content(plain)


def write_content(content: SessionContent) -> bytes:
    """Write content in the newest version.

    Raises:
        InvalidValue: it is larger than 256 KiB, or could not be read again: it is not valid
            Unicode, or holds a number that is not finite.
    """
    try:
        plain = content.model_dump_json(exclude_defaults=True, warnings="none").encode()
        readable = read_content(SCHEMA_VERSION, plain) == content
    except (ValueError, UnicodeError):
        readable = False
    if not readable:
        raise InvalidValue("the content is not valid: its words must be Unicode, the rest JSON")
    if len(plain) > MAX_CONTENT_BYTES:
        raise InvalidValue(
            f"the content has {len(plain)} bytes; at most {MAX_CONTENT_BYTES} are kept"
        )
    return plain


def _from_json(model: type[Model], plain: bytes) -> Model:
    try:
        return model.model_validate_json(plain)
    except ValidationError:
        # Pydantic parses 200 levels of nesting, but writes 254.
        return _from_deep_json(model, plain)


def _from_deep_json(model: type[Model], plain: bytes) -> Model:
    try:
        return model.model_validate(json.loads(plain))
    except RecursionError:
        raise ValueError("the text is nested too deeply") from None


def _turn_from_json(plain: bytes) -> Turn:
    return _from_json(Turn, plain)


def _content_from_json(plain: bytes) -> SessionContent:
    return _from_json(SessionContent, plain)


def _content_with_one_place(plain: bytes) -> SessionContent:
    """Read content of versions 1 and 2."""
    fields = json.loads(plain)
    if isinstance(fields, dict) and (place := fields.pop("place", None)) is not None:
        fields["places"] = (place,)
    return SessionContent.model_validate(fields)


READERS: Final[Mapping[int, Reader]] = {
    1: Reader(turn=_turn_from_json, content=_content_with_one_place),
    2: Reader(turn=decode_turn, content=_content_with_one_place),
    3: Reader(turn=decode_turn, content=_content_from_json),
}
"""By version: all that were ever written."""
