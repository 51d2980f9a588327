"""The alert rules: that they say what to do, name what there is, and fire when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.promql import grouped_by, mistakes

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (apt install prometheus)"
)


def test_every_alert_names_what_there_is() -> None:
    """No metric, label or value of a rule is misspelt."""
    assert [(rule["alert"], wrong) for rule in RULES if (wrong := mistakes(rule["expr"]))] == []


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    """Each has a sentence for the subject, some for the reader, and a place in the runbook."""
    for rule in RULES:
        says = rule["annotations"]
        assert set(says) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]
        assert re.fullmatch(r"docs/operations\.md#[a-z-]+", says["runbook"]), rule["alert"]


def test_an_alert_speaks_of_labels_that_it_has() -> None:
    """A sentence that names a label is of a rule whose query keeps that label."""
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        kept = grouped_by(rule["expr"])
        # A bare selector keeps all labels of its target.
        assert named <= kept or rule["expr"].startswith("up{"), rule["alert"]


@needs_promtool
@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(check: tuple[str, ...]) -> None:
    """Prometheus reads its files, and each alert fires when ``alerts_test.yml`` says so."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *check], cwd=MONITORING, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing() -> None:
    """``alerts_test.yml`` has a case in which each of them fires."""
    cases = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    seen = {
        case["alertname"]
        for each in cases
        for case in each.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    for each in cases:
        for case in each.get("promql_expr_test", ()):
            samples = [sample["labels"] for sample in case["exp_samples"]]
            seen |= set(re.findall(r'alertname="(\w+)"', str(samples)))
    assert {rule["alert"] for rule in RULES} - seen == set()
