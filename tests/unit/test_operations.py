"""The operator's page: what it names is there, and its commands are ones that can be run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
import yaml
from typer.core import TyperGroup

from benchmarks.capacity.report import BEGIN, END, as_markdown, put_into
from session_store.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text()
CAPACITY: Final = ROOT / "benchmarks" / "results" / "capacity.json"
ALERTS: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/monitoring/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
SERVICES: Final = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
NAMES_SERVICES: Final = {"build", "down", "exec", "logs", "ps", "run", "stop", "up"}
"""Commands of docker compose that take names of services."""
TAKES_VALUE: Final = {
    *("--entrypoint", "--format", "--profile", "--scale", "--since", "--tail"),
}


def code() -> Iterator[str]:
    """Yield what is printed as code: each line of a block, and each span."""
    blocks = r"^ *```\w*\n(.*?)^ *```$"
    for block in re.findall(blocks, PAGE, re.DOTALL | re.MULTILINE):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(blocks, "", PAGE, flags=re.DOTALL | re.MULTILINE))


def commands(program: str) -> list[list[str]]:
    """Return the words behind each call of a program, up to where the shell goes on."""
    found = []
    for line in code():
        for rest in re.findall(rf"(?:^|[\s(]){program} ([^|;&<>)#]+)", line):
            words = rest.split()
            if words[0] != "…" and "--entrypoint" not in line:
                found.append(words)
    return found


def anchor_of(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def sections(text: str) -> dict[str, str]:
    """Return what stands below each heading, by anchor."""
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    return {
        anchor_of(heading): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def sources() -> str:
    """Return the code of all programs, with strings that go over several lines put together."""
    folders = ("agent", "gateway", "session_store")
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))


def test_every_alert_leads_to_a_section_that_names_it() -> None:
    """An operator woken by an alert finds its name below the heading that it links to."""
    found = sections(PAGE)
    for rule in ALERTS:
        anchor = rule["annotations"]["runbook"].partition("#")[2]
        assert rule["alert"] in found.get(anchor, ""), rule["alert"]
    assert set(re.findall(r"\bRejoin[A-Z]\w+", PAGE)) == {rule["alert"] for rule in ALERTS}


def test_the_settings_are_those_of_the_example_with_their_defaults() -> None:
    """The page's tables and ``.env.example`` are the same list."""
    example = (ROOT / ".env.example").read_text()
    listed = re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE)
    tables = PAGE.partition("\n## Settings\n")[2]
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]+)` )?\|", tables, re.MULTILINE)
    assert sorted(rows) == sorted(listed)


def test_every_setting_that_the_text_names_exists() -> None:
    """No setting in the runbook was renamed since."""
    named = set(re.findall(r"`((?:REJOIN|AGENT|GATEWAY|LIVEKIT|REDIS)_[A-Z_]+)[`=]", PAGE))
    listed = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named <= listed


@pytest.mark.parametrize("words", commands("session-store"), ids=" ".join)
def test_every_session_store_command_can_be_run(words: list[str]) -> None:
    """The program takes these words: the command exists, and so does each option."""
    command, context, name = typer.main.get_command(app), None, "session-store"
    while isinstance(command, TyperGroup):
        context = command.make_context(name, words, parent=context)
        words = [*context._protected_args, *context.args]
        found, sub, words = command.resolve_command(context, words)
        assert found is not None
        assert sub is not None
        name, command = found, sub
    command.make_context(name, words, parent=context)


def test_every_docker_compose_command_names_services_of_the_stack() -> None:
    """A service that was renamed is renamed here, too."""
    for words in commands("docker compose"):
        plain = []
        rest = iter(words)
        for word in rest:
            if word in TAKES_VALUE:
                next(rest)
            elif not word.startswith("-"):
                plain.append(word)
        verb, *named = plain
        assert verb in NAMES_SERVICES, words
        if verb in {"exec", "run"}:
            named = named[:1]
        assert set(named) <= SERVICES, words


def test_every_log_line_that_is_quoted_is_logged() -> None:
    """An operator who searches the logs for the words on the page finds them."""
    logged = sources()
    quoted = re.findall(r"\b[Ll]og `([^`]+)`", PAGE)
    assert quoted
    assert [words for words in quoted if words not in logged] == []


def test_every_metric_that_is_named_exists() -> None:
    """The names are those of docs/metrics.md."""
    listed = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    )
    assert set(re.findall(r"\brejoin_\w+", PAGE)) <= listed


def test_every_link_leads_somewhere() -> None:
    """To a file of the repository, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGE):
        path, _, anchor = target.partition("#")
        file = ROOT / "docs" / path if path else ROOT / "docs" / "operations.md"
        assert file.exists(), target
        if anchor:
            assert anchor in sections(file.read_text()), target


@pytest.mark.skipif(not CAPACITY.exists(), reason="nothing was measured: make bench-capacity")
def test_the_figures_are_those_that_were_measured() -> None:
    """The tables are what the benchmark has written, unchanged."""
    tables = as_markdown(json.loads(CAPACITY.read_text()))
    assert PAGE.count(BEGIN) == PAGE.count(END) == 1
    assert put_into(PAGE, tables) == PAGE
