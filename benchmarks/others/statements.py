"""How many statements of an agent Rejoin needs: added, changed, removed."""

from __future__ import annotations

import ast
import copy
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Statements(NamedTuple):
    """What differs between two versions of a module."""

    written: int
    """Added or changed."""
    removed: int
    classes: int
    """Classes that differ."""


def compare(before: Path, after: Path) -> Statements:
    """Compare two modules. Line breaks and comments do not count, nor does indentation.

    A statement with a body (``if``, ``try``, ``def``) counts by its head, and its body by itself.
    """
    old, new = ast.parse(before.read_text()), ast.parse(after.read_text())
    olds, news = list(_heads(old)), list(_heads(new))
    written = removed = 0
    for what, i1, i2, j1, j2 in SequenceMatcher(None, olds, news, autojunk=False).get_opcodes():
        if what != "equal":
            written += j2 - j1
            removed += max(0, (i2 - i1) - (j2 - j1))
    return Statements(written, removed, len(_classes(old) ^ _classes(new)) // 2)


def _heads(module: ast.Module) -> Iterator[str]:
    for node in _in_order(module):
        head = copy.copy(node)
        for body in ("body", "orelse", "finalbody", "handlers"):
            if isinstance(getattr(head, body, None), list):
                setattr(head, body, [])
        yield ast.dump(head)


def _in_order(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        yield from _in_order(child)


def _classes(module: ast.Module) -> set[str]:
    return {ast.dump(node) for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
