"""One Redis process on loopback, which can be killed, paused and started again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dev import redis_server
from dev.rig.net import NET_S
from dev.rig.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_S = NET_S
_STOP_S = 5.0
_POLL_S = 0.01
_LOOK_S = 1.0
"""A server that does not say in this time what it is may be one that a test has stopped."""

QUICK = (
    *("--save", "", "--appendonly", "no", "--loglevel", "notice"),
    *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"),
    *("--repl-ping-replica-period", "1", "--repl-timeout", "5"),
)
"""Nothing is written to disk, and replicas begin at once."""
_AS_STARTED: Final = {"maxmemory": "0", "maxmemory-policy": "noeviction"}
"""What tests change in a server that others use too."""


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = START_S) -> None:
    """Return when ``condition`` holds; a Redis that does not answer means not yet.

    Raises:
        TimeoutError: naming ``what`` did not happen.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"in {timeout_s:g} s it did not happen that {what}")
        time.sleep(_POLL_S)


@cache
def _program() -> str:
    return str(redis_server.find_or_install())


class Login(NamedTuple):
    """User and password; no user means the default one."""

    user: str | None
    password: str


class Server:
    """A running ``redis-server``, or a sentinel, which is the same program."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        sentinel_config: str | None = None,
        login: Login | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._login = login
        self._folder = folder
        self._command = [_program()]
        if sentinel_config is not None:
            # A sentinel keeps what it learns in its configuration.
            config = folder / "sentinel.conf"
            config.write_text(sentinel_config)
            self._command += [str(config), "--sentinel"]
        self._command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += options
        self._process = self._start()

    def __repr__(self) -> str:
        return f"<Server {self.port}>"

    @property
    def name(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def client(self, login: Login | None = None, *, timeout_s: float = 10.0) -> redis.Redis:
        """Make a client that repeats nothing.

        Args:
            login: user and password, instead of those that the server was started with.
            timeout_s: how long it waits for a connection, and for an answer.
        """
        user, password = login or self._login or (None, None)
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=password,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            protocol=2,
        )

    def is_master(self) -> bool:
        """Return whether it says so itself; False where it does not answer."""
        return self._role()[:1] == ["master"]

    def follows(self) -> int | None:
        """Return the port of its primary; ``None`` where it is one, or does not answer."""
        match self._role():
            case ["slave", _, int(port), *_]:
                return port
        return None

    def await_answer(self) -> None:
        """Return when it answers, also when the answer is that a password is wanted.

        Raises:
            RuntimeError: with what it printed, when it has stopped instead.
            TimeoutError: it does not answer.
        """

        def answers() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"redis-server stopped: {self._log().read_text()[-600:]}")
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.AuthenticationError:
                return True

        wait_until(answers, f"{self} answers")

    def make_new(self) -> None:
        """Empty it, and undo what a test that failed may have left: counts, and a full memory."""
        with self.client() as client:
            for setting, value in _AS_STARTED.items():
                client.config_set(setting, value)
            client.flushall()
            client.config_resetstat()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it where it stands; its connections stay open, and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``pause``, as if no time had passed."""
        self._process.send_signal(signal.SIGCONT)

    def revive(self, *options: str) -> None:
        """Let it go on, or start it again where it was ended, and wait for its answer."""
        if self._process.poll() is None:
            self.resume()
        else:
            self._process = self._start(*options)
        self.await_answer()

    def stop(self) -> None:
        """End it in order, or at last with force."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        self.resume()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _role(self) -> list[Any]:
        try:
            with self.client(timeout_s=_LOOK_S) as client:
                return list(client.execute_command("ROLE"))
        except redis.RedisError:
            return []

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        with self._log().open("ab") as log:
            return subprocess.Popen([*self._command, *options], stdout=log, stderr=log)

    def _log(self) -> Path:
        return self._folder / "log"


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Wait for the answer of each, and stop them all at the end."""
    try:
        for server in servers:
            server.await_answer()
        yield
    finally:
        for server in servers:
            server.stop()


@contextlib.contextmanager
def standalone(folder: Path, *options: str, login: Login | None = None) -> Iterator[Server]:
    """Run one Redis."""
    server = Server(folder, *QUICK, *options, login=login)
    with running(server):
        yield server
