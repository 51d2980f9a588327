"""Each block of code in README.md and docs/*.md is run or checked: the registry says by what."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
import yaml

from dev.paths import ROOT
from session_store import SessionStore
from session_store.cli.app import app
from session_store.livekit import Conversation, is_takeover, persist, watch_over
from session_store.metrics import sink
from session_store.metrics.endpoint import Endpoint
from tests.snippets import PAGES, Snippet, changed, snippets
from tests.unit.test_distribution import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIRST_STEPS: Final = "integration/test_first_steps.py"
FRONT_END: Final = "integration/test_frontend.py"
BINDING_DOCS: Final = "integration/test_binding_docs.py"
BINDING: Final = "docs/binding.md"
OPERATIONS: Final = "docs/operations.md"

RUN: Final = {
    (BINDING, "Install", "sh"): FIRST_STEPS,
    (BINDING, "Keys and settings", "sh"): FIRST_STEPS,
    (BINDING, "The agent", "python"): FIRST_STEPS,
    (BINDING, "The agent", "diff"): FIRST_STEPS,
    (BINDING, "Run it", "sh"): FIRST_STEPS,
    (BINDING, "Run it", "python"): FIRST_STEPS,
    (BINDING, "Examples", "sh"): "integration/test_binding_examples.py",
    (BINDING, "Greeting", "python"): BINDING_DOCS,
    (BINDING, "What must happen once in a room", "python"): BINDING_DOCS,
    (BINDING, "Agent transfers", "python"): BINDING_DOCS,
    (BINDING, "State", "python"): BINDING_DOCS,
    (BINDING, "Tests and the console", "python"): FIRST_STEPS,
    (BINDING, "Your own token server", "python"): FRONT_END,
    (BINDING, "Your own front end", "js"): FRONT_END,
    (BINDING, "Your own front end", "sh"): FRONT_END,
    ("docs/store.md", "The store", "python"): "integration/test_docs.py",
    ("README.md", "In your own agent", "python"): BINDING_DOCS,
}
"""The test that runs what stands under a heading. It names the heading."""
CHECKED: Final = {
    ("README.md", "Try it", "sh"),
    ("README.md", "Run it for real", "sh"),
    ("README.md", "In your own agent", "sh"),
    ("docs/metrics.md", "In a worker of your own", "python"),
    ("docs/providers.md", "In an agent of your own", "python"),
    ("docs/providers.md", "A server of your own", "sh"),
    (OPERATIONS, "Replace the agents one by one", "sh"),
    (OPERATIONS, "The first look", "sh"),
    (OPERATIONS, "Back up", "sh"),
    (OPERATIONS, "Restore a backup", "sh"),
    (OPERATIONS, "Erase a person", "sh"),
    (OPERATIONS, "Export a person", "sh"),
}
"""What needs more than a test has, such as Docker: its parts are checked here."""
SHOWN: Final = {"", "text", "mermaid", "yaml"}
"""Languages of blocks that nobody runs. Other tests check lists of files and settings."""

Key = tuple[str, str, str]
CALLED: Final[dict[str, Callable[..., Any]]] = {
    "persist": persist,
    "watch_over": watch_over,
    "is_takeover": is_takeover,
    "resume": Conversation.resume,
    "greet": Conversation.greet,
    "watch": Conversation.watch,
    "measure": SessionStore.measure,
    "sink": sink,
    "Endpoint": Endpoint,
    "show_worker": Endpoint.show_worker,
}
"""What the blocks call, of ours."""


def by_key() -> dict[Key, list[Snippet]]:
    """Return the blocks that a reader may run, by page, heading and language."""
    found = defaultdict(list)
    for page in PAGES:
        for each in snippets(page):
            if each.language not in SHOWN:
                found[each.page, each.heading, each.language].append(each)
    return found


FOUND: Final = by_key()


def test_each_block_is_known() -> None:
    """A new one needs a test that runs it, or a check of its parts."""
    assert set(FOUND) == {*RUN, *CHECKED}
    assert not RUN.keys() & CHECKED


@pytest.mark.parametrize("key", RUN, ids=" ".join)
def test_the_test_that_runs_it_names_it(key: Key) -> None:
    """By its heading, so that a heading that changes is noticed."""
    assert key[1] in (ROOT / "tests" / RUN[key]).read_text()


@pytest.mark.parametrize("key", sorted(FOUND), ids=" ".join)
def test_its_parts_exist(key: Key) -> None:
    """Whether it is run or not: commands, options, targets, services, settings, arguments."""
    for each in FOUND[key]:
        wrong = {"sh": wrong_in_shell, "python": wrong_in_python}.get(each.language)
        assert wrong is None or list(wrong(each.text)) == []


def wrong_in_shell(text: str) -> Iterable[str]:
    """Yield what a shell would not find."""
    done = subprocess.run(
        ["/bin/sh", "-n"], input=text, capture_output=True, text=True, check=False
    )
    yield from done.stderr.splitlines()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\s*make (\S+)", text, re.MULTILINE):
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            yield f"make {target}"
    for extra in re.findall(r"livekit-rejoin\[([\w,]+)\]", text):
        if lost := set(extra.split(",")) - set(PROJECT["optional-dependencies"]):
            yield f"extras {lost}"
    yield from wrong_commands(text)
    yield from wrong_services(text)
    yield from wrong_settings(text)


def wrong_commands(text: str) -> Iterable[str]:
    """Yield each command and option that `session-store` does not have."""
    for found in re.finditer(
        r"^(?!.*--entrypoint).*\bsession-store ([a-z].*)$", text, re.MULTILINE
    ):
        words = found[1].partition("#")[0].partition(">")[0].split()
        command: Any = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            name = words.pop(0)
            command = command.commands.get(name)
        if command is None:
            yield f"session-store {name}"
            continue
        options = {option for parameter in command.params for option in parameter.opts}
        yield from (word for word in words if word.startswith("--") and word not in options)


def wrong_services(text: str) -> Iterable[str]:
    """Yield each service that `docker-compose.yml` does not have."""
    services = {*yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]}
    pattern = r"docker compose (?:stop|exec|run|up|ps|logs)\b([^#|>\n]*)"
    for words in re.findall(pattern, text):
        names = [word.strip("()") for word in words.split() if not word.startswith("-")]
        if names and services.isdisjoint(names):
            yield f"docker compose … {' '.join(names)}"


def wrong_settings(text: str) -> Iterable[str]:
    """Yield each setting of ours that `.env.example` does not list."""
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    ours = r"^(?:export )?((?:AGENT|REJOIN|GATEWAY|LIVEKIT)_\w+)="
    for name in re.findall(ours, text, re.MULTILINE):
        if name not in known:
            yield name


def wrong_in_python(text: str) -> Iterable[str]:
    """Yield each import that fails, and each call of ours that does not fit."""
    for node in ast.walk(ast.parse(_dedented(text))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("session_store"):
            module = importlib.import_module(str(node.module))
            yield from (name.name for name in node.names if not hasattr(module, name.name))
        if isinstance(node, ast.Call):
            yield from _misfit(node)


def _misfit(call: ast.Call) -> Iterable[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    called = CALLED.get(name)
    if called is None or any(keyword.arg is None for keyword in call.keywords):
        return
    is_method = "self" in inspect.signature(called).parameters
    try:
        inspect.signature(called).bind(
            *([None] * is_method),
            *[None for _ in call.args],
            **{str(keyword.arg): None for keyword in call.keywords},
        )
    except TypeError as error:
        yield f"{name}: {error}"


def _dedented(text: str) -> str:
    """Return a block of a function's body as a function, so that it may await."""
    if text.startswith(" "):
        return f"async def block(ctx):\n{text}"
    if "await" in text and "async def" not in text:
        return "async def block(ctx):\n" + "".join(f"    {line}\n" for line in text.splitlines())
    return text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("make nothing", ["make nothing"]),
        ("session-store gone", ["session-store gone"]),
        ("session-store list --gone", ["--gone"]),
        ("session-store keys new FILE", []),
        ("docker compose exec gone sh", ["docker compose … gone sh"]),
        ("REJOIN_GONE=1", ["REJOIN_GONE"]),
        ("pip install 'livekit-rejoin" + "[gone]'", ["extras {'gone'}"]),
    ],
)
def test_what_a_shell_would_not_find_is_noticed(text: str, wrong: list[str]) -> None:
    """In each kind of part."""
    assert list(wrong_in_shell(text)) == wrong


def test_a_call_that_does_not_fit_is_noticed() -> None:
    """An argument that is gone, and a name that cannot be imported."""
    text = "from session_store.livekit import gone\nawait persist(ctx, session, words_of=1)\n"
    assert list(wrong_in_python(text)) == [
        "gone",
        "persist: got an unexpected keyword argument 'words_of'",
    ]


def test_a_diff_changes_the_lines_that_it_shows() -> None:
    """Lines between them stay; a line that is not there is an error."""
    assert changed("a\nb\nc\nd\n", " a\n-c\n+e\n") == "a\nb\ne\nd\n"
    with pytest.raises(ValueError, match="not in list"):
        changed("a\n", "-b\n")
