"""Settings, and the file that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from session_store import StoreSettings
from session_store.logs import LogSettings
from session_store.settings import explain

ROOT = Path(__file__).parents[2]


def test_the_example_lists_every_setting_and_no_other() -> None:
    """Each setting has its line, with its default."""
    example = (ROOT / ".env.example").read_text()
    listed = dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE))
    own = StoreSettings.model_fields | LogSettings.model_fields
    known = {f"REJOIN_{name}".upper(): field for name, field in own.items()}
    for settings in (AgentSettings, GatewaySettings):
        known |= {name.upper(): field for name, field in settings.model_fields.items()}
    stack = re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text())
    others = {"DEMO_LIVEKIT_LOG", "COMPOSE_PROFILES", *stack}
    assert set(listed) == set(known) | others
    for name, value in listed.items():
        if value and name in known and "redis_url" not in name.lower():
            default = known[name].default
            assert value == (f"{default:g}" if isinstance(default, float) else str(default)), name


def test_a_lease_must_outlive_its_renewal() -> None:
    """One late renewal must not lose the lease, and the error says which settings to change."""
    with pytest.raises(ValidationError) as refused:
        StoreSettings(lease_s=1, lease_renew_s=1)
    assert "REJOIN_LEASE_RENEW_S (1.0) must be at most half of REJOIN_LEASE_S" in explain(
        refused.value
    )


def test_a_value_is_never_repeated() -> None:
    """What was set wrong may be a secret in the wrong place."""
    with pytest.raises(ValidationError) as refused:
        StoreSettings.model_validate({"redis_url": "hunter2"})
    assert "hunter2" not in explain(refused.value)
    assert explain(refused.value).startswith("REJOIN_REDIS_URL: ")
