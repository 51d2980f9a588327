"""Values of chat items as JSON and back: providers put more than JSON into ``extra``.

Bytes (Gemini's thought signatures, for example) become ``{"$bytes": "<base64>"}``. A key that
begins with ``$`` gets a second one. A value without such a form is left out, and its path is named.
"""

from __future__ import annotations

import base64
import binascii
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

_BYTES: Final = "$bytes"
_MAX_LEVELS: Final = 100
"""Deeper values are left out: every parser on the way has its own limit."""


class Plain(NamedTuple):
    """Values as JSON, and the paths of those that could not be kept."""

    values: dict[str, JsonValue]
    left_out: list[str]
    """The path of each missing value, such as ``extra.google.client``."""


class _HasNoForm(Exception):
    """A value is neither JSON nor bytes."""


def written(values: Mapping[str, Any]) -> Plain:
    """Write values as JSON; ``read`` gives equal ones back (lists for tuples)."""
    left_out: list[str] = []
    return Plain(_write_object(values, "", left_out, _MAX_LEVELS), left_out)


def read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read what ``written`` wrote."""
    return {_unescaped(key): _read(value) for key, value in values.items()}


def _write_object(
    values: Mapping[Any, Any], path: str, left_out: list[str], levels: int
) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {}
    for key, value in values.items():
        place = f"{path}.{key}" if path else str(key)
        try:
            kept[_escaped(str(key))] = _write(value, place, left_out, levels - 1)
        except _HasNoForm:
            left_out.append(place)
    return kept


def _write(value: Any, path: str, left_out: list[str], levels: int) -> JsonValue:
    if levels < 0:
        raise _HasNoForm
    match value:
        case None | bool() | int() | str():
            return value
        case float() if isfinite(value):
            return value
        case bytes() | bytearray():
            return {_BYTES: base64.b64encode(value).decode()}
        case dict():
            return {**_write_object(value, path, left_out, levels)}
        case list() | tuple():
            return [_write(item, path, left_out, levels - 1) for item in value]
        case BaseModel():
            return {**_write_object(value.model_dump(), path, left_out, levels)}
    raise _HasNoForm


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_BYTES}:
        try:
            return base64.b64decode(value[_BYTES], validate=True)
        except (binascii.Error, TypeError, ValueError):
            return value
    return read(value)


def _escaped(key: str) -> str:
    return f"${key}" if key.startswith("$") else key


def _unescaped(key: str) -> str:
    return key.removeprefix("$")
