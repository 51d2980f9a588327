"""Versions of what is sealed: text of any version becomes a model of today's.

A record keeps the version that it was sealed with, its first byte: turns for ever, since the next
turn is chained to their bytes; content until its next change. To make version n + 1: raise
``models.SCHEMA_VERSION`` and give ``STEPS`` an entry n, which tells how the JSON of n becomes that
of n + 1. A process that does not know a version answers ``UnknownSchema``, so first release what
reads it, and then what writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from session_store.models import SCHEMA_VERSION, SessionContent, Turn

Change = Callable[[dict[str, Any]], dict[str, Any]]


class Step(NamedTuple):
    """From one version to the next."""

    turn: Change
    content: Change


STEPS: Final[Mapping[int, Step]] = {}
"""By the version that a step begins from. Version 1 is today's, so there is none."""


def read_turn(schema: int, plain: bytes) -> Turn:
    """Read a turn that was sealed as version ``schema``.

    Raises:
        ValueError: the text is no turn of that version.
    """
    if schema == SCHEMA_VERSION:
        return Turn.model_validate_json(plain)
    data = from_json(plain)
    for version in range(schema, SCHEMA_VERSION):
        data = STEPS[version].turn(data)
    return Turn.model_validate(data)


def read_content(schema: int, plain: bytes) -> SessionContent:
    """Read a content that was sealed as version ``schema``.

    Raises:
        ValueError: the text is no content of that version.
    """
    if schema == SCHEMA_VERSION:
        return SessionContent.model_validate_json(plain)
    data = from_json(plain)
    for version in range(schema, SCHEMA_VERSION):
        data = STEPS[version].content(data)
    return SessionContent.model_validate(data)
