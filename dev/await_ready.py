"""Wait until what a command needs answers, then become that command.

    python -m dev.await_ready --pid-file F --for redis=redis://… --for livekit=http://… -- command

A target is `tcp:HOST:PORT` (has a listener), `file:PATH` (it exists), `http://…` (answers 200),
or `redis://…` (answers PING). `$NAME` as a target stands for the environment variable of that
name, which keeps a URL with a password out of the list of processes.
"""

import argparse
import http.client
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from dev.commands import DevError, main

_POLL_S = 0.1
_ANSWER_S = 2.0
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


def await_all(targets: Mapping[str, str], *, timeout_s: float) -> None:
    """Return when every target has answered.

    Args:
        targets: What to wait for, by name.
        timeout_s: For all of them together.

    Raises:
        DevError: Naming the parts that have not answered in time, and how.
    """
    deadline = time.monotonic() + timeout_s
    for name, target in targets.items():
        while (problem := problem_of(target)) is not None:
            if time.monotonic() > deadline:
                raise DevError(f"{name} did not become ready in {timeout_s:.0f} s: {problem}")
            time.sleep(_POLL_S)


def problem_of(target: str) -> str | None:
    """Return what is wrong with a target, or None when it answers as it should.

    Raises:
        DevError: When the target is none of the kinds known here.
    """
    if target.startswith("tcp:"):
        return _problem_of_tcp(target)
    if target.startswith("file:"):
        path = Path(target.removeprefix("file:"))
        return None if path.exists() else f"{path} is not there"
    if target.startswith(("http://", "https://")):
        return _problem_of_http(target)
    if target.startswith(_REDIS_SCHEMES):
        return _problem_of_redis(target)
    raise DevError("A target to wait for begins with tcp:, file:, http://, https:// or redis://.")


def _problem_of_tcp(target: str) -> str | None:
    host, _, port = target.removeprefix("tcp:").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        return str(error)
    return None


def _problem_of_http(target: str) -> str | None:
    try:
        with urllib.request.urlopen(target, timeout=_ANSWER_S) as answer:  # noqa: S310 - http(s) by the caller
            return None if answer.status == http.HTTPStatus.OK else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.read(200).decode('utf-8', 'replace')}".strip()
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def _problem_of_redis(target: str) -> str | None:
    import redis  # noqa: PLC0415 - a fifth of a second, which the other kinds need not wait

    try:
        with redis.Redis.from_url(
            target,
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_ANSWER_S,
            # What a client says of itself by default are commands that our users may not run.
            driver_info=None,
            protocol=2,
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    return None


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell what to wait for: `targets`, as pairs, and `timeout`."""
    parser.add_argument(
        "--for", dest="targets", type=_named, action="append", default=[], metavar="NAME=TARGET"
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")


def _named(text: str) -> tuple[str, str]:
    name, _, target = text.partition("=")
    return name, os.environ.get(target[1:], "") if target.startswith("$") else target


def _main(argv: Sequence[str]) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m dev.await_ready", description=__doc__)
    add_targets(parser)
    parser.add_argument("--pid-file", type=Path, help="write the process id here")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    if options.pid_file is not None:
        options.pid_file.write_text(str(os.getpid()), encoding="ascii")
    await_all(dict(options.targets), timeout_s=options.timeout)
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        raise DevError(f"{options.command[0]} cannot be started: {error.strerror}") from None


if __name__ == "__main__":
    main(lambda: _main(sys.argv[1:]))
