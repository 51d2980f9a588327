"""The forms and the workflow for people who join on GitHub."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
import yaml

from dev.paths import ROOT

GITHUB: Final = ROOT / ".github"
FORMS: Final = sorted(
    path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
WORKFLOW: Final = GITHUB / "workflows" / "checks.yml"
CHECKS: Final = yaml.safe_load(WORKFLOW.read_text())
TARGETS: Final = set(
    re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
)


def commands() -> set[str]:
    """Return what the workflow runs."""
    steps = [step for job in CHECKS["jobs"].values() for step in job["steps"]]
    return {step["run"] for step in steps if "run" in step}


def test_the_workflow_runs_what_ci_runs_here() -> None:
    """A change that passes there passes here, and the other way round."""
    ours = re.search(r"^for target in (.*); do$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)

    assert ours is not None
    assert commands() == {f"make {target}" for target in ours[1].split()}
    assert {command.removeprefix("make ") for command in commands()} <= TARGETS


def test_the_workflow_may_change_nothing() -> None:
    """A pull request of a stranger runs with its token."""
    assert CHECKS["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_and_each_question_is_named_once(form: Any) -> None:
    """GitHub refuses a form without a required question, or with an id twice."""
    content = yaml.safe_load(form.read_text())
    questions = [part for part in content["body"] if part["type"] != "markdown"]

    assert content["name"]
    assert content["description"]
    assert all(part["attributes"]["label"] for part in questions)
    assert len({part["id"] for part in questions}) == len(questions)
    assert any(part.get("validations", {}).get("required") for part in questions)


def test_every_make_target_that_contributors_are_told_of_exists() -> None:
    """Those that are named in code font, with their options or without."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"`(bench-[a-z]+)`", text))

    assert len(named) > 8
    assert named <= TARGETS
