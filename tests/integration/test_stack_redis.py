"""The Redis of the stack, which ``deploy/redis/start.sh`` starts."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import redis

from dev import redis_server
from session_store import SessionStore, StoreSettings
from session_store.doctor import Verdict, examine
from tests.integration.keeping import talk
from tests.servers.process import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYED: Final = Path(__file__).parents[2] / "deploy" / "redis"
PASSWORDS: Final = {
    "rejoin": "REDIS_PASSWORD",
    "rejoin-operator": "REDIS_OPERATOR_PASSWORD",
    "replica": "REDIS_REPLICA_PASSWORD",
    "sentinel": "REDIS_SENTINEL_PASSWORD",
}
SETTINGS: Final = {
    **{variable: f"{user}-hush" for user, variable in PASSWORDS.items()},
    "REDIS_ADDRESS": "10.123.117.11",
    "REDIS_PRIMARY": "10.123.117.11",
    "REDIS_SENTINELS": "",
    "REDIS_SCHEME": "redis",
    "REDIS_MAXMEMORY": "64mb",
    "REDIS_MIN_REPLICAS": "0",
}


class StackRedis:
    """A Redis that runs where a container would be: its data, its temporary files, its programs."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        programs = folder / "bin"
        programs.mkdir(parents=True)
        (programs / "redis-server").symlink_to(redis_server.find_or_install())
        (folder / "data").mkdir()
        self._environment = {
            "PATH": f"{programs}:{os.defpath}",
            "TMPDIR": str(folder),
            "REDIS_DATA": str(folder / "data"),
            "REDIS_PORT": str(self.port),
        }

    def start(self, **settings: str) -> subprocess.Popen[str]:
        """Run the script."""
        return subprocess.Popen(
            ["sh", DEPLOYED / "start.sh"],  # noqa: S607
            env={**self._environment, **SETTINGS, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """Start it, wait until it answers, and kill it at the end."""
        process = self.start()
        try:
            wait_until(lambda: bool(self.client("rejoin").ping()), "the stack's Redis answers")
            yield process
        finally:
            process.kill()
            process.communicate()

    def client(self, user: str) -> redis.Redis:
        """Return a client that is logged in as one of the shipped users."""
        return redis.Redis(port=self.port, username=user, password=SETTINGS[PASSWORDS[user]])

    def settings(self, user: str, key_file: Path) -> StoreSettings:
        """Return the store's settings."""
        url = f"redis://{user}:{SETTINGS[PASSWORDS[user]]}@127.0.0.1:{self.port}/0"
        return StoreSettings.model_validate({"redis_url": url, "key_file": key_file})


@pytest.fixture
def stack_redis(tmp_path: Path) -> StackRedis:
    """Return a Redis that has not been started yet."""
    return StackRedis(tmp_path / "stack")


async def test_conversations_outlive_a_crash_of_redis(
    stack_redis: StackRedis, key_file: Path
) -> None:
    """What the worker's user wrote is there again: no user's rights keep Redis from reading it."""
    settings = stack_redis.settings("rejoin", key_file)
    with stack_redis.running() as process:
        store = SessionStore.from_settings(settings)
        joined = await talk(store, store.pseudonym("somebody"))
        await store.aclose()
        process.kill()
    with stack_redis.running():
        store = SessionStore.from_settings(settings)
        loaded = await store.load(joined.lease.participant, joined.lease.session_id)
        await store.aclose()
    assert loaded is not None
    assert [each.turn.text for each in loaded.turns] == [f"sentence {n}" for n in (1, 2, 3)]


def test_the_default_user_may_do_all_and_nobody_is_it() -> None:
    """Redis 7 reads its file in this user's name, and drops in silence what this user may not."""
    rules = (DEPLOYED / "users.acl").read_text().splitlines()[0]
    assert rules == "user default off resetpass allkeys allchannels +@all"


async def test_the_doctor_finds_nothing_wrong(stack_redis: StackRedis, key_file: Path) -> None:
    """It appends to a file, throws nothing out, has a limit, and the operator may look."""
    with stack_redis.running():
        found = await examine(stack_redis.settings("rejoin-operator", key_file))
    findings = {each.check: each for each in found}
    for check in ("login", "eviction", "memory", "persistence"):
        assert findings[check].verdict is Verdict.OK, findings[check]


def test_every_user_has_the_password_that_was_set(stack_redis: StackRedis) -> None:
    """All four can log in, and nobody with another password or none."""
    with stack_redis.running():
        for user in PASSWORDS:
            with stack_redis.client(user) as client:
                client.ping()
        strangers: tuple[tuple[str | None, str | None], ...] = (
            (None, None),
            ("default", ""),
            ("rejoin", "guessed"),
        )
        for name, password in strangers:
            with (
                pytest.raises(redis.AuthenticationError),
                redis.Redis(port=stack_redis.port, username=name, password=password) as client,
            ):
                client.ping()


@pytest.mark.parametrize("password", ["", "change-me"])
def test_it_does_not_start_with_an_example(stack_redis: StackRedis, password: str) -> None:
    """A password that is missing or known to all ends the start, and it is said what to do."""
    output, _ = stack_redis.start(REDIS_PASSWORD=password).communicate(timeout=10)
    assert output == "redis: REDIS_PASSWORD is not set; run make secrets\n"
