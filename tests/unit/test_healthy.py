"""``deploy/healthy.py``: what Docker is told of a service."""

from __future__ import annotations

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from dev.rig.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[2] / "deploy" / "healthy.py"


class Service(BaseHTTPRequestHandler):
    """Answers ``/503`` with that number and a reason, and all else with 200."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(503 if self.path == "/503" else 200)
        self.end_headers()
        self.wfile.write(b"not connected to LiveKit")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Run a service."""
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(*arguments: object) -> tuple[int, str]:
    """Run the program as the image does; return its exit code and what it says."""
    command = [sys.executable, "-ISB", str(PROGRAM), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_a_service_that_answers_is_well(address: str, tmp_path: Path) -> None:
    """It answers, and its file is there."""
    assert ask(f"{address}/", tmp_path) == (0, "")


def test_a_service_that_says_no_is_not(address: str) -> None:
    """Its own reason is passed on."""
    assert ask(f"{address}/503") == (1, "503 not connected to LiveKit\n")


def test_a_worker_that_livekit_does_not_know_is_not(address: str, tmp_path: Path) -> None:
    """It answers already, but the file that says so is missing."""
    assert ask(address, tmp_path / "ready") == (1, f"{tmp_path}/ready is not there\n")


def test_a_service_that_does_not_answer_is_not() -> None:
    """There is no listener."""
    assert ask(f"http://127.0.0.1:{free_port()}/") == (1, "Connection refused\n")
