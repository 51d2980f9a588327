"""Waiting for what a part of the demo needs."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dev.await_ready import await_all, problem_of
from dev.commands import DevError
from dev.rig.ports import free_port


@contextmanager
def _http_server(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"redis is away")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()
        thread.join()


def test_an_http_target_is_ready_when_it_answers_200() -> None:
    """Only 200 counts; for anything else the answer's own words are told."""
    with _http_server(200) as url:
        assert problem_of(url) is None
    with _http_server(503) as url:
        assert problem_of(url) == "HTTP 503 redis is away"


def test_a_tcp_target_is_ready_when_somebody_listens() -> None:
    """Waiting ends with the first connection that is accepted."""
    port = free_port()
    assert problem_of(f"tcp:127.0.0.1:{port}") is not None
    with socket.create_server(("127.0.0.1", port)):
        await_all({"it": f"tcp:127.0.0.1:{port}"}, timeout_s=5)


def test_a_listener_that_is_no_redis_is_not_ready() -> None:
    """Redis has to answer PING."""
    with _http_server(200) as url:
        assert problem_of(url.replace("http://", "redis://").removesuffix("/readyz")) is not None


def test_a_target_of_an_unknown_kind_is_refused() -> None:
    """A mistake in a target does not wait for ever."""
    with pytest.raises(DevError, match="begins with tcp:"):
        problem_of("ftp://example.test")


def test_who_is_not_ready_in_time_is_named() -> None:
    """The error names the part, how long it was waited for, and what was wrong."""
    port = free_port()
    with pytest.raises(DevError, match=r"LiveKit did not become ready in 0 s: .*refused"):
        await_all({"LiveKit": f"tcp:127.0.0.1:{port}"}, timeout_s=0.2)


def test_the_wrapper_becomes_the_command(tmp_path: Path) -> None:
    """The command has the process id that was noted, and no parent in between."""
    pid_file = tmp_path / "part.pid"
    wrapper = [sys.executable, "-m", "dev.await_ready", f"--pid-file={pid_file}", "--"]
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    printed = subprocess.check_output([*wrapper, *command], env=os.environ, text=True)
    assert printed.strip() == pid_file.read_text(encoding="ascii")


def test_the_wrapper_fails_in_one_line_without_the_password() -> None:
    """A URL from the environment shows neither in the arguments nor in the error."""
    url = f"redis://:hunter2@127.0.0.1:{free_port()}"
    wrapper = [sys.executable, "-m", "dev.await_ready", "--timeout=0.2", "--for=Redis=$REDIS_HERE"]
    done = subprocess.run(
        [*wrapper, "--", "true"],
        env={**os.environ, "REDIS_HERE": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: Redis did not become ready")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
