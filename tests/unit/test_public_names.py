"""The reference in docs/binding.md is the code: names, types and defaults."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

import pytest

import session_store
from dev.paths import ROOT
from session_store import livekit
from session_store.livekit.job import (
    active_agent,
    conversation_setup,
    kept_state,
    participant,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE: Final = (ROOT / "docs" / "binding.md").read_text()
REFERENCE: Final = PAGE.partition("## Every public name\n")[2].partition("\n## ")[0]
KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    "async function": inspect.iscoroutinefunction,
    "function": lambda value: inspect.isfunction(value) and not inspect.iscoroutinefunction(value),
    "enumeration": lambda value: inspect.isclass(value) and hasattr(value, "__members__"),
    "error": lambda value: inspect.isclass(value) and issubclass(value, Exception),
    "class": inspect.isclass,
}
SELF: Final = 1
"""The first argument of a method is not shown."""


def rows(section: str) -> dict[str, str]:
    """Return the second cell of each row of a section's table, by the first."""
    text = REFERENCE.partition(f"### {section}\n")[2] if section else REFERENCE
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None, section
    cells = [re.split(r"(?<!\\)\|", line) for line in table[1].splitlines()]
    return {_plain(row[1]): _plain(row[2]) for row in cells}


def _plain(cell: str) -> str:
    return cell.strip().strip("`").replace("\\|", "|")


def alias(module: Any, name: str) -> str:
    """Return what an alias of a type stands for."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.unparse(node.value)
    raise LookupError(name)


ALIASES: Final = {
    "AgentOrMaker": alias(active_agent, "AgentOrMaker"),
    "Migrate": alias(kept_state, "Migrate"),
    "NamedBy": alias(participant, "NamedBy"),
    "WhenAgentEnds": alias(conversation_setup, "WhenAgentEnds"),
}


def written(node: ast.expr) -> str:
    """Return a type as the code has it, with its aliases resolved."""
    text = ast.unparse(node)
    for name, stands_for in ALIASES.items():
        text = re.sub(rf"\b{name}\b", stands_for, text)
    return text


def definition(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Return the definition of a function."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return node


def test_each_name_is_there_and_of_its_kind() -> None:
    """Nothing is missing, and nothing is invented."""
    told = rows("")
    assert set(told) == set(livekit.__all__)
    for name, kind in told.items():
        assert KINDS[kind](getattr(livekit, name)), name


@pytest.mark.parametrize("name", ["persist", "watch_over", "is_takeover"])
def test_each_argument_has_its_type_and_default(name: str) -> None:
    """As the code has them, in any order."""
    arguments = definition(getattr(livekit, name)).args
    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    pairs = [
        *zip(arguments.args, [*missing, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    known = {}
    for argument, default in pairs:
        assert argument.annotation is not None
        value = "" if default is None else f" = {ast.unparse(default)}"
        known[argument.arg] = f"{written(argument.annotation)}{value}"
    assert rows(name) == known


def shown(name: str, member: Any) -> tuple[str, str]:
    """Return how an attribute or a method is shown, and its type."""
    node = definition(member.fget if isinstance(member, property) else member)
    assert node.returns is not None
    if isinstance(member, property):
        return name, written(node.returns)
    node.args.args = node.args.args[SELF:]
    waits = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{waits}{name}({ast.unparse(node.args)})", written(node.returns)


def test_a_conversation_has_what_is_told_of_it() -> None:
    """Each attribute and each call, with its types."""
    members = vars(livekit.Conversation).items()
    known = dict(shown(name, member) for name, member in members if not name.startswith("_"))
    # The one attribute that is no property.
    known["chat_ctx"] = "llm.ChatContext"
    assert rows("Conversation") == known


def test_a_visit_has_what_is_told_of_it() -> None:
    """Each field."""
    assert rows("Visit") == {each.name: each.type for each in dataclasses.fields(livekit.Visit)}


def test_an_entry_is_one_of_these() -> None:
    """Each member, with its value."""
    assert rows("EntryKind") == {each.name: f'"{each.value}"' for each in livekit.EntryKind}


def raised(function: Any) -> set[str]:
    """Return the errors that a docstring names."""
    section = inspect.getdoc(function).partition("Raises:\n")[2]  # type: ignore[union-attr]
    heads = re.findall(r"^ {4}([A-Z][\w, ]+):", section, re.MULTILINE)
    return {name for head in heads for name in head.split(", ")}


def test_each_error_is_told() -> None:
    """Those that a public call raises, each with its class above it."""
    calls: list[Any] = [livekit.persist, livekit.is_takeover]
    methods = vars(livekit.Conversation).items()
    calls += [member for name, member in methods if inspect.isfunction(member) and name[0] != "_"]
    told = rows("Errors")
    assert set().union(*map(raised, calls)) == set(told)
    for name, above in told.items():
        error = getattr(livekit if name in livekit.__all__ else session_store, name)
        assert error.__bases__[0].__name__ == above, name
