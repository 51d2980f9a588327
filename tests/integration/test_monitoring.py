"""Dashboard and alerts on a real Prometheus that has read real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import prometheus
from tests.unit.promql import without_variables
from tests.unit.test_alerts import RULES
from tests.unit.test_dashboards import DASHBOARD, QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.prometheus import Prometheus
    from tests.integration.scrape import Scraped

pytestmark = pytest.mark.skipif(
    prometheus.PROGRAM is None, reason="Prometheus is not installed (apt install prometheus)"
)


@pytest.fixture(scope="module")
def read(scraped: Scraped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Return a Prometheus that has read a worker, a gateway and a LiveKit."""
    shown = {"agent": scraped.killed.worker, "gateway": scraped.killed.gateway}
    with prometheus.running(tmp_path_factory.mktemp("prometheus"), shown) as server:
        yield server


def test_every_query_of_the_dashboard_has_an_answer(read: Prometheus) -> None:
    """Prometheus takes each query and finds what it asks for, if only a 0."""
    assert [each for each in QUERIES if not read.query(without_variables(each))] == []


def test_the_alerts_on_the_dashboard_are_asked_for_rightly(read: Prometheus) -> None:
    """Prometheus takes the query of the marks, which finds nothing while all is well."""
    [marks] = DASHBOARD["annotations"]["list"]
    assert read.query(marks["expr"]) == []


def test_no_alert_begins_where_all_is_well(read: Prometheus) -> None:
    """Each rule is understood and was judged, and none of them is even pending."""
    rules = read.rules()
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in RULES}
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] != "inactive"] == []
