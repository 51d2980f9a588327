"""``docker-compose.yml``: what it opens, what it closes, and where settings go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from session_store import StoreSettings
from session_store.logs import LogSettings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUNNING = {name: each for name, each in SERVICES.items() if each["restart"] != "no"}
AFTER_DRAIN_S = 20
"""Seconds that a worker needs after its drain: jobs flush, give their leases back, and end."""
PROFILES = ("", "tls", "monitoring", "ha", "tls,monitoring,ha")
GIVEN = {
    "AGENT_HTTP_HOST",
    "AGENT_METRICS_DIR",
    "AGENT_READY_FILE",
    "GATEWAY_HOST",
    "GATEWAY_PAGE",
    "REJOIN_KEY_FILE",
}
"""Settings that have one value in the image, or another form in the stack."""


def interpolated() -> dict[str, str]:
    """Return the variables that the file asks for, with their defaults; none for a secret."""
    found: dict[str, str] = {}
    for name, default in re.findall(r"\$\{([A-Z_]+)(?::-([^}]*))?", TEXT):
        assert found.setdefault(name, default) == default, f"{name} has two defaults"
    return found


@pytest.mark.parametrize("name", RUNNING)
def test_every_service_is_closed(name: str) -> None:
    """Each runs without rights, cannot change its image, and has bounds."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= ({"NET_BIND_SERVICE"} if name == "caddy" else set())
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", RUNNING)
def test_every_service_is_watched(name: str) -> None:
    """Each has a health check, comes back by itself, and has time to stop."""
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["stop_grace_period"]


def test_nobody_is_let_in_but_through_the_doors() -> None:
    """Redis and the agents publish nothing; what is published can be bound to an address."""
    doors = {name for name, service in SERVICES.items() if "ports" in service}
    assert doors == {"gateway", "livekit", "caddy", "grafana"}
    for name in doors:
        for port in SERVICES[name]["ports"]:
            assert port.startswith("${PUBLISH_")
    addresses = {k: v for k, v in interpolated().items() if k.startswith("PUBLISH_")}
    assert addresses.pop("PUBLISH_TLS_ADDRESS") == "0.0.0.0"  # noqa: S104 (https is for others)
    assert set(addresses.values()) == {"127.0.0.1"}


def test_redis_is_reached_by_those_who_need_it() -> None:
    """The network of Redis leads nowhere else, and LiveKit and the web are not in it."""
    assert COMPOSE["networks"]["store"]["internal"] is True
    inside = {name for name, each in SERVICES.items() if "store" in each.get("networks", [])}
    redis = {name for name in SERVICES if name.startswith(("redis", "sentinel"))}
    assert inside == redis | {"agent", "gateway", "session-store"}
    assert all(set(SERVICES[name]["networks"]) == {"store"} for name in redis)


def test_every_redis_has_an_address_of_its_own() -> None:
    """Sentinels know addresses: each is fixed, told to its owner, and out of what Docker gives."""
    servers = [name for name in SERVICES if name.startswith(("redis", "sentinel"))]
    networks = {name: SERVICES[name]["networks"]["store"] for name in servers}
    addresses = {name: network["ipv4_address"] for name, network in networks.items()}
    assert len(set(addresses.values())) == len(servers)
    assert all(int(address.rpartition(".")[2]) < 128 for address in addresses.values())
    assert COMPOSE["networks"]["store"]["ipam"]["config"][0]["ip_range"].endswith(".128/25")
    for name in servers:
        settings = SERVICES[name]["environment"]
        assert settings["REDIS_PRIMARY"] == addresses["redis"]
        if name.startswith("redis"):
            assert settings["REDIS_ADDRESS"] == addresses[name]
            sentinels = [each for each in servers if each.startswith("sentinel")]
            assert settings["REDIS_SENTINELS"].split() == [addresses[each] for each in sentinels]


def test_redis_and_the_sentinels_wait_for_nobody() -> None:
    """A Redis asks the sentinels who the primary is, so they start without one, in any order."""
    servers = [name for name in SERVICES if name.startswith(("redis", "sentinel"))]
    assert not [name for name in servers if "depends_on" in SERVICES[name]]


def test_caddy_alone_is_believed_who_the_caller_is() -> None:
    """Its address is fixed, and out of what Docker gives to others."""
    address = SERVICES["caddy"]["networks"]["media"]["ipv4_address"]
    fixed = re.sub(r"\$\{MEDIA_SUBNET:-([^}]*)\}", r"\1", address)
    assert interpolated()["FORWARDED_ALLOW_IPS"] == fixed
    assert int(fixed.rpartition(".")[2]) < 128
    assert COMPOSE["networks"]["media"]["ipam"]["config"][0]["ip_range"].endswith(".128/25")


def test_every_image_is_pinned_and_can_be_replaced() -> None:
    """A default names one version, and .env may name another image."""
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[^}]+:v?\d+\.\d+\.\d+[^}]*\}", service["image"]), (
            name
        )
    arguments = SERVICES["agent"]["build"]["args"]
    text = (ROOT / "Dockerfile").read_text()
    dockerfile = dict(re.findall(r"^ARG (\w+)=(.+)$", text, re.MULTILINE))
    assert {name: f"${{{name}:-{image}}}" for name, image in dockerfile.items()} == arguments


def test_no_secret_has_a_default() -> None:
    """Without a secret nothing starts, and the error says what to do."""
    secrets = {name for name in interpolated() if re.search("PASSWORD|SECRET|_KEYS?$", name)}
    assert {"REDIS_PASSWORD", "LIVEKIT_API_SECRET", "REJOIN_PSEUDONYM_KEY"} <= secrets
    for name in secrets:
        uses = re.findall(rf"\$\{{{name}\b[^}}]*\}}", TEXT)
        assert set(uses) == {f"${{{name}:?run make secrets}}"}


def test_settings_of_env_reach_agent_and_gateway() -> None:
    """Whoever adds a setting adds it to the stack, unless it is fixed there."""
    own = {f"REJOIN_{n}".upper() for n in StoreSettings.model_fields | LogSettings.model_fields}
    for service, settings in (("agent", AgentSettings), ("gateway", GatewaySettings)):
        wanted = own | {name.upper() for name in settings.model_fields}
        assert wanted - GIVEN <= set(SERVICES[service]["environment"]), service
    assert own - GIVEN <= set(SERVICES["session-store"]["environment"])


def test_the_example_tells_the_stacks_defaults() -> None:
    """What .env.example says of a setting of the stack alone is what happens without it."""
    _, _, section = (ROOT / ".env.example").read_text().partition("# --- Stack")
    stack = dict(re.findall(r"^#([A-Z_]+)=(.*)$", section, re.MULTILINE))
    assert stack.pop("COMPOSE_PROFILES") == ""
    assert stack == {name: interpolated()[name] for name in stack}
    assert len(stack) > 20


def test_a_worker_has_time_for_its_drain() -> None:
    """Docker waits longer than the drain, and than what comes after it."""
    grace = interpolated()["AGENT_STOP_GRACE"]
    drain_s = AgentSettings.model_fields["agent_drain_s"].default
    assert int(grace.removesuffix("s")) >= drain_s + AFTER_DRAIN_S


def test_what_must_survive_is_on_a_volume() -> None:
    """Redis's data, the spool and the erasure journal outlive their containers."""
    for name in ("agent", "gateway"):
        volumes = dict(volume.split(":")[:2] for volume in SERVICES[name]["volumes"][1:])
        environment = SERVICES[name]["environment"]
        assert environment["REJOIN_SPOOL_DIR"] == volumes["spool"]
        assert environment["REJOIN_ERASURE_JOURNAL"].startswith(f"{volumes['journal']}/")
    assert "redis-data:/data" in SERVICES["redis"]["volumes"]
    named = {each.split(":")[0] for s in SERVICES.values() for each in s.get("volumes", [])}
    assert {name for name in named if name[0].isalpha()} == set(COMPOSE["volumes"])


def has_compose() -> bool:
    """Tell whether ``docker compose`` is here; it needs no running engine to read a file."""
    docker = shutil.which("docker")
    return docker is not None and not subprocess.run(
        [docker, "compose", "version"], capture_output=True, check=False
    ).returncode  # fmt: skip


needs_compose = pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")


def config(env_file: Path, profiles: str = "") -> subprocess.CompletedProcess[str]:
    """Let ``docker compose`` read its file with these settings and no others."""
    path = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["docker", "compose", "--file", FILE, "--env-file", env_file, "config", "--quiet"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**path, "COMPOSE_PROFILES": profiles},
    )


@needs_compose
@pytest.mark.parametrize("profiles", PROFILES)
def test_compose_reads_every_profile(profiles: str, tmp_path: Path) -> None:
    """With the secrets made, each combination is valid, and nothing has to be said about it."""
    env_file = tmp_path / "env"
    subprocess.run(["sh", ROOT / "deploy" / "secrets.sh", env_file], check=True)  # noqa: S607
    read = config(env_file, profiles)
    assert (read.returncode, read.stderr) == (0, "")


@needs_compose
def test_compose_refuses_the_example() -> None:
    """A copied .env.example starts nothing, and it is said what to do."""
    refused = config(ROOT / ".env.example")
    assert refused.returncode != 0
    assert "run make secrets" in refused.stderr
