"""The dashboard, as a file: Grafana itself does not run here.

``tests/integration/test_monitoring.py`` runs its queries on a real Prometheus.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from session_store.metrics.families import FAMILIES
from tests.unit.promql import grouped_by, mistakes, selectors

GRAFANA = Path(__file__).parents[2] / "deploy" / "monitoring" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "rejoin.json").read_text())
PANELS: list[dict[str, Any]] = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
WIDTH = 24


def test_every_query_names_what_there_is() -> None:
    """No metric, label or value of a query is misspelt."""
    assert [(query, wrong) for query in QUERIES if (wrong := mistakes(query))] == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("sum(rejoin_turn_lost_total)", "rejoin_turn_lost_total is no metric"),
        ("sum(rejoin_resume_seconds)", "rejoin_resume_seconds is no metric"),
        ('up{jop="agent"}', "up has no label jop"),
        (
            'session_connections_total{kind="old"}',
            "kind of session_connections_total is never old",
        ),
        ("sum by (why) (rate(rejoin_dispatches_total[5m]))", "nothing has a label why"),
    ],
)
def test_what_is_misspelt_is_noticed(query: str, wrong: str) -> None:
    """The check of the queries finds each kind of mistake."""
    assert mistakes(query) == [wrong]


def test_every_metric_of_ours_is_shown() -> None:
    """What is counted can be looked at, but for rejoins: those are arrivals of a kind."""
    asked = {name for query in QUERIES for name, _ in selectors(query)}
    for family in FAMILIES:
        names = {f"{family.name}{end}" for end in ("", "_bucket", "_sum", "_count")}
        assert names & asked or family.name == "session_reconnections_total", family.name


def test_a_legend_names_what_its_query_groups_by() -> None:
    """Lines can be told apart, and no legend shows an empty name."""
    for panel in PANELS:
        targets = panel["targets"]
        for target in targets:
            groups = grouped_by(target["expr"]) - {"le"}
            if panel["type"] not in {"stat", "heatmap"}:
                shown = {label for label in groups if f"{{{{{label}}}}}" in target["legendFormat"]}
                assert shown == groups, (panel["title"], target["expr"])
                assert target["legendFormat"], panel["title"]
        assert len({target["refId"] for target in targets}) == len(targets), panel["title"]


def test_an_exception_for_one_line_names_a_line() -> None:
    """A unit for one line of a panel is found by the line's legend."""
    for panel in PANELS:
        legends = {target["legendFormat"] for target in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] in legends, panel["title"]


def test_every_panel_says_what_it_shows() -> None:
    """Each has a title of its own under its row, a description, and the chosen data source."""
    assert [panel["title"] for panel in PANELS if not panel["description"]] == []
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    rows = [each["title"] for each in DASHBOARD["panels"] if each["type"] == "row"]
    assert all(title.endswith("?") for title in rows)
    assert len(set(rows)) == len(rows)


def test_panels_lie_side_by_side() -> None:
    """None overlaps another or leaves the page, and ids are used once."""
    boxes = [each["gridPos"] for each in DASHBOARD["panels"]]
    assert all(box["x"] + box["w"] <= WIDTH for box in boxes)
    for one, other in combinations(boxes, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    ids = [each["id"] for each in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_grafana_finds_the_dashboard_and_its_data() -> None:
    """What is provisioned points at what docker-compose.yml puts there."""
    compose = yaml.safe_load((GRAFANA.parents[2] / "docker-compose.yml").read_text())["services"]
    mounts = dict(each.split(":")[:2] for each in compose["grafana"]["volumes"])
    [provider] = _provisioned("dashboards", "rejoin.yml")["providers"]
    [source] = _provisioned("datasources", "prometheus.yml")["datasources"]
    assert mounts["./deploy/monitoring/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"] == "http://prometheus:9090"
    [variable] = DASHBOARD["templating"]["list"]
    assert variable["current"]["value"] == source["uid"]
    scraped_every = yaml.safe_load((GRAFANA.parent / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraped_every["scrape_interval"]


def _provisioned(kind: str, name: str) -> Any:
    return yaml.safe_load((GRAFANA / "provisioning" / kind / name).read_text())
