"""A real Prometheus with the configuration that is shipped, on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from prometheus_client import CONTENT_TYPE_LATEST

from dev import livekit_server
from dev.rig.ports import free_port
from dev.rig.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MONITORING: Final = Path(__file__).parents[2] / "deploy" / "monitoring"
PROGRAM: Final = shutil.which("prometheus")
_REFUSED: Final = (400, 422)
_TWICE: Final = 2
"""A rate needs as many samples."""


class Prometheus:
    """What one answers. ``running`` starts it."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str, **asked: str) -> Any:
        """Return the data of its HTTP API's answer.

        Raises:
            ValueError: with its own words, when it refuses a query.
            URLError: it does not answer (yet).
        """
        url = f"{self._address}/api/v1/{path}?{urlencode(asked)}"
        try:
            with urlopen(url, timeout=10) as answer:  # noqa: S310 (of loopback)
                return json.load(answer)["data"]
        except HTTPError as error:
            if error.code not in _REFUSED:
                raise
            raise ValueError(json.load(error)["error"]) from None

    def query(self, query: str) -> list[Any]:
        """Return the samples that a query has now; raises as ``get``."""
        found = self.get("query", query=query)["result"]
        return list(found)

    def rules(self) -> list[dict[str, Any]]:
        """Return the alert rules, with what became of them."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def knows(self, job: str) -> bool:
        """Return whether it has read a job's metrics often enough, and judged its rules since."""
        try:
            read = self.query(f'min(count_over_time(up{{job="{job}"}}[1m])) >= {_TWICE}')
            rules = self.rules()
        except URLError:
            return False
        return bool(read) and all(rule["health"] != "unknown" for rule in rules)


@contextmanager
def running(folder: Path, shown: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run a LiveKit server, and a Prometheus that reads it and what jobs of ours have shown.

    Args:
        folder: for configuration and data.
        shown: by the name of a job, what its ``GET /metrics`` answers.

    Yields:
        One that has read everything.
    """
    with ExitStack() as at_the_end:
        targets = {job: at_the_end.enter_context(_showing(text)) for job, text in shown.items()}
        targets["livekit"] = at_the_end.enter_context(_livekit(folder))
        port = free_port()
        targets["prometheus"] = port
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_shipped(targets)))
        command = [
            *(str(PROGRAM), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
        ]
        at_the_end.enter_context(_process(command, folder))
        prometheus = Prometheus(port)
        for job in targets:
            wait_until(partial(prometheus.knows, job), f"Prometheus has read {job}")
        yield prometheus


def _shipped(targets: Mapping[str, int]) -> dict[str, Any]:
    """Return the configuration of docker-compose.yml, with other addresses, in a hurry."""
    config: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["global"]["scrape_timeout"] = "500ms"
    config["rule_files"] = [str(MONITORING / name) for name in config["rule_files"]]
    config["scrape_configs"] = [
        {
            "job_name": job["job_name"],
            "static_configs": [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}],
        }
        for job in config["scrape_configs"]
    ]
    return config


@contextmanager
def _showing(text: str) -> Iterator[int]:
    """Show a text as metrics; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _livekit(folder: Path) -> Iterator[int]:
    """Run a LiveKit server that shows its metrics; yields the port of those."""
    config = folder / "livekit.json"
    livekit_server.write_config(
        config, port=free_port(), tcp_port=free_port(), udp_port=free_port()
    )
    metrics = free_port()
    settings = json.loads(config.read_text()) | {"prometheus": {"port": metrics}}
    config.write_text(json.dumps(settings))
    program = str(livekit_server.find_or_install())
    with _process([program, "--config", str(config)], folder):
        yield metrics


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[None]:
    """Run a program until the end, its words in a file."""
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait()
