"""The manifests for Kubernetes: that they fit each other, the image and the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from agent.settings import AgentSettings
from gateway.settings import GatewaySettings
from session_store import StoreSettings

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
FILES: Final = sorted(each for each in FOLDER.rglob("*") if each.is_file())
OBJECTS: Final[list[dict[str, Any]]] = [
    each for file in FILES for each in yaml.safe_load_all(file.read_text())
]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
WORKLOADS: Final = ("agent", "gateway", "redis")
METRICS_PORTS: Final = {"agent": 9464, "gateway": 9465}
AFTER_DRAIN_S: Final = 20
"""What ``AGENT_DRAIN_S`` asks of the program that stops a worker, besides itself."""


def named(kind: str, name: str) -> dict[str, Any]:
    """Return the object of a kind and name."""
    [found] = [o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def template(name: str) -> dict[str, Any]:
    """Return what the pods of a workload are made of."""
    workload = named("StatefulSet" if name == "redis" else "Deployment", f"rejoin-{name}")
    pods: dict[str, Any] = workload["spec"]["template"]
    return pods


def container(name: str) -> dict[str, Any]:
    """Return the one container of a workload."""
    found: dict[str, Any]
    [found] = template(name)["spec"]["containers"]
    return found


def environment(name: str) -> dict[str, str]:
    """Return the settings of a workload."""
    settings = dict(named("ConfigMap", "rejoin")["data"])
    settings |= named("Secret", "rejoin")["stringData"]
    return settings | {each["name"]: each["value"] for each in container(name)["env"]}


def test_every_setting_is_known() -> None:
    """A setting that is misspelt would be passed over in silence."""
    known = {f"REJOIN_{name}".upper() for name in StoreSettings.model_fields}
    for settings in (AgentSettings, GatewaySettings):
        known |= {name.upper() for name in settings.model_fields}
    known |= {
        "FORWARDED_ALLOW_IPS",  # uvicorn's
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE",
        "REJOIN_LOG_FORMAT",
    }
    for name in ("agent", "gateway"):
        assert set(environment(name)) - known == set()


def test_the_settings_are_accepted_but_for_the_examples() -> None:
    """With secrets in the place of the examples both programs would start."""
    for name, settings in (("agent", AgentSettings), ("gateway", GatewaySettings)):
        values = {key.lower(): value for key, value in environment(name).items()}
        with pytest.raises(ValueError, match="make secrets"):
            settings.model_validate(values)
        secret = {key: value.replace("change-me", "x" * 32) for key, value in values.items()}
        settings.model_validate(secret)
        store = {key.removeprefix("rejoin_"): value for key, value in secret.items()}
        StoreSettings.model_validate(store)


def test_a_worker_is_given_the_time_that_it_takes_to_end() -> None:
    """Kubernetes waits longer than the worker drains."""
    drain_s = int(environment("agent")["AGENT_DRAIN_S"])
    assert template("agent")["spec"]["terminationGracePeriodSeconds"] >= drain_s + AFTER_DRAIN_S


def test_probes_ask_what_listens() -> None:
    """Probes and metrics use the ports that the settings name, and the probe of the image."""
    agent, gateway = environment("agent"), environment("gateway")
    wanted = {
        "agent": {"health": agent["AGENT_HTTP_PORT"], "metrics": agent["AGENT_METRICS_PORT"]},
        "gateway": {"http": gateway["GATEWAY_PORT"], "metrics": gateway["GATEWAY_METRICS_PORT"]},
    }
    for name, ports in wanted.items():
        listed = {each["name"]: str(each["containerPort"]) for each in container(name)["ports"]}
        assert listed == ports
        assert int(listed["metrics"]) == METRICS_PORTS[name]
    ready = container("agent")["readinessProbe"]["exec"]["command"]
    assert ready == COMPOSE["services"]["agent"]["healthcheck"]["test"][1:]
    assert ready[-1] == agent["AGENT_READY_FILE"]
    # /readyz is 503 while Redis is away, when people are to be let in without it.
    assert container("gateway")["readinessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_pods_run_what_compose_runs() -> None:
    """Program, user and the store's folders are the same."""
    for name in ("agent", "gateway"):
        service = COMPOSE["services"][name]
        security = template(name)["spec"]["securityContext"]
        assert container(name)["command"] == service["command"]
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == service["user"]
    data = next(each for each in container("agent")["volumeMounts"] if each["name"] == "data")
    for setting in ("REJOIN_SPOOL_DIR", "REJOIN_ERASURE_JOURNAL"):
        assert environment("agent")[setting].startswith(f"{data['mountPath']}/")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_may_do_no_more_than_it_must(name: str) -> None:
    """It meets the restricted pod security standard, and its root file system cannot be written."""
    pod = template(name)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would set GATEWAY_PORT where a Service is named gateway.
    assert pod["enableServiceLinks"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container(name)["resources"]["limits"]


def test_whoever_selects_pods_finds_some() -> None:
    """Each selector is that of a workload's pods, and each rule opens a port of theirs."""
    pods = [template(name)["metadata"]["labels"] for name in WORKLOADS]
    ports = {port["name"] for name in WORKLOADS for port in container(name)["ports"]}
    for each in OBJECTS:
        spec = each.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector", {}))
        labels = selector.get("matchLabels", selector)
        assert any(labels.items() <= pod.items() for pod in pods), each["metadata"]
        opened = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
        assert opened <= ports, each["metadata"]


def test_applying_the_folder_sets_no_example_and_needs_no_namespace() -> None:
    """The Secret is a template by its name, and the objects go where they are applied to."""
    applied = [each for each in FILES if each.suffix == ".yaml" and each.parent == FOLDER]
    kinds = [o["kind"] for file in applied for o in yaml.safe_load_all(file.read_text())]
    assert "Secret" not in kinds
    assert [o["metadata"] for o in OBJECTS if "namespace" in o["metadata"]] == []


def test_the_autoscaler_asks_for_what_the_adapter_is_told() -> None:
    """The rule for prometheus-adapter in the text names the metric that the autoscaler wants."""
    text = (ROOT / "deploy" / "README.md").read_text()
    found = re.search(r"```yaml\n(rules:.*?)```", text, re.DOTALL)
    assert found is not None
    [rule] = yaml.safe_load(found[1])["rules"]["custom"]
    [metric] = named("HorizontalPodAutoscaler", "rejoin-agent")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert rule["seriesQuery"].startswith("lk_agents_active_job_count{")
    places = int(environment("agent")["AGENT_MAX_JOBS"])
    assert int(metric["pods"]["target"]["averageValue"]) < places


def test_the_monitors_give_jobs_the_names_that_alerts_use() -> None:
    """The alerts find the same names as with docker compose."""
    config = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())
    jobs = {each["job_name"] for each in config["scrape_configs"]}
    for name, port in METRICS_PORTS.items():
        [endpoint] = named("PodMonitor", f"rejoin-{name}")["spec"]["podMetricsEndpoints"]
        [label] = endpoint["relabelings"]
        assert label == {"targetLabel": "job", "replacement": name}
        assert name in jobs
        [scraped] = [each for each in config["scrape_configs"] if each["job_name"] == name]
        assert scraped["dns_sd_configs"][0]["port"] == port
