"""Metrics, scraped from a real worker and a real gateway, before and after a job is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.rig.net import NET_S
from session_store.metrics.families import FAMILIES
from tests.integration.test_start import start

if TYPE_CHECKING:
    from pathlib import Path

    from session_store import StoreSettings
    from tests.integration.scrape import Scraped


def test_everything_that_can_be_counted_is_there_before_it_happens(scraped: Scraped) -> None:
    """A dashboard that is opened on a new installation shows zeros, not gaps."""
    for part, text in (("worker", scraped.idle.worker), ("gateway", scraped.idle.gateway)):
        names = {family.name for family in text_string_to_metric_families(text)}
        for family in FAMILIES:
            is_there = family.name.removesuffix("_total") in names
            assert is_there == (part in family.parts), (part, family.name)
    idle = scraped.idle.value
    assert idle("active_sessions") == 0
    assert idle("rejoin_joins_total", outcome="lease_held") == 0
    assert idle("rejoin_takeover_seconds_count") == 0


def test_two_people_of_whom_one_reloads_are_counted(scraped: Scraped) -> None:
    """Two conversations, one rejoin; every turn is saved, and nothing waits."""
    value = scraped.reloaded.value
    assert value("active_sessions") == 2
    assert value("lk_agents_active_job_count", nodename=_node(scraped.reloaded.worker)) == 2
    assert value("session_connections_total", kind="return") == 1
    assert value("session_reconnections_total") == 1
    assert value("session_duration_seconds_count") == 1
    assert value("rejoin_joins_total", outcome="created") == 2
    assert value("rejoin_resume_seconds_count", kind="new") == 2
    assert 0 < value("rejoin_resume_seconds_sum", kind="new") < 60
    saved = value("rejoin_turns_saved_total")
    assert saved >= 6
    assert value("rejoin_turn_saved_seconds_count") == saved
    assert value("rejoin_turn_saved_seconds_sum") >= value("rejoin_append_seconds_sum") > 0
    appends = value("rejoin_append_seconds_count")
    assert value("rejoin_redis_call_seconds_count", operation="append") == appends
    assert value("rejoin_redis_call_seconds_count", operation="join") == 2
    assert value("rejoin_redis_call_seconds_count", operation="arrive") == 1
    for name in ("rejoin_unsaved_turns", "rejoin_unsaved_bytes", "rejoin_turns_lost_total"):
        assert value(name) == 0
    assert value("rejoin_redis_circuit_open") == 0
    assert value("rejoin_takeovers_total") == 0


def test_a_page_s_word_on_its_connection_is_counted(scraped: Scraped) -> None:
    """What its owner told over LiveKit is among the observations."""
    value = scraped.reloaded.value
    assert value("rejoin_client_round_trip_seconds_count") == 1
    assert value("rejoin_client_round_trip_seconds_sum") == pytest.approx(0.042)
    assert value("rejoin_client_loss_ratio_sum") == pytest.approx(0.015)


def test_the_gateway_counts_what_it_answered(scraped: Scraped) -> None:
    """Three tokens for two new sessions and a return, of which two needed an agent."""
    value = scraped.reloaded.value
    assert value("session_connections_total", kind="new") == 2
    assert value("rejoin_gateway_requests_total", path="token", status="2xx") == 3
    assert value("rejoin_gateway_requests_total", path="token", status="5xx") == 0
    assert value("rejoin_gateway_requests_total", path="health", status="2xx") >= 1
    assert value("rejoin_gateway_token_seconds_count") == 3
    assert value("rejoin_dispatches_total", reason="asked") == 2


def test_a_killed_job_shows_as_a_takeover_and_holds_nothing_any_more(scraped: Scraped) -> None:
    """Two conversations again, not three; what the dead job had counted is still counted."""
    before, after = scraped.reloaded.value, scraped.killed.value
    assert after("active_sessions") == 2
    assert after("rejoin_leases_lost_total") == 1
    assert after("rejoin_takeovers_total") == 1
    assert after("rejoin_dispatches_total", reason="job_died") == 1
    assert after("rejoin_joins_total", outcome="taken_over") == 1
    assert after("rejoin_joins_total", outcome="created") == 2
    assert after("rejoin_takeover_seconds_count") == 1
    assert 0 < after("rejoin_takeover_seconds_sum") < 60
    assert after("rejoin_resume_seconds_count", kind="takeover") == 1
    assert after("rejoin_turns_saved_total") >= before("rejoin_turns_saved_total")
    assert after("session_reconnections_total") == 1


def test_a_killed_job_leaves_no_file_behind(scraped: Scraped) -> None:
    """What it had counted was added to that of others that ended."""
    assert "counter_ended.db" in scraped.files
    assert "histogram_ended.db" in scraped.files
    assert not [name for name in scraped.files if name.endswith(f"_{scraped.pid}.db")]


def test_no_scrape_holds_an_id_a_name_or_a_word(scraped: Scraped) -> None:
    """Names, session ids and words are in no label, name or help text."""
    for scrape in (scraped.idle, scraped.reloaded, scraped.killed):
        text = (scrape.worker + scrape.gateway).lower()
        assert not [secret for secret in scraped.secrets if secret.lower() in text]


@pytest.mark.parametrize("part", ["agent", "gateway"])
def test_a_port_that_is_taken_is_named(part: str, tmp_path: Path, settings: StoreSettings) -> None:
    """An operator who asked for metrics is told at the start that there would be none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = start(
            part,
            tmp_path,
            REJOIN_REDIS_URL=settings.redis_url.get_secret_value(),
            REJOIN_KEY_FILE=str(settings.key_file),
            **{f"{part.upper()}_METRICS_PORT": str(port)},
        )
    assert code == 1
    assert f"{part}: metrics cannot be shown at 127.0.0.1:{port} (Address already in use)" in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, settings: StoreSettings) -> None:
    """The same for the folder where the jobs would count."""
    (tmp_path / "file").write_text("")
    code, said = start(
        "agent",
        tmp_path,
        REJOIN_KEY_FILE=str(settings.key_file),
        AGENT_METRICS_PORT="9464",
        AGENT_METRICS_DIR=str(tmp_path / "file" / "metrics"),
    )
    assert code == 1
    assert "agent: no metrics can be kept in " in said
    assert "correct AGENT_METRICS_DIR" in said
    assert "Traceback" not in said


def test_who_does_not_count_does_not_load_prometheus() -> None:
    """The library and the gateway run without the extra ``metrics``."""
    code = (
        "import gateway.app, session_store.cli, sys; sys.exit('prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False, timeout=NET_S)
    assert done.returncode == 0


def _node(text: str) -> str:
    """Return how LiveKit names this machine."""
    for family in text_string_to_metric_families(text):
        if family.name == "lk_agents_active_job_count":
            return family.samples[0].labels["nodename"]
    raise AssertionError("LiveKit counts no jobs")
