"""The Redis of the stack, which ``deploy/redis/start.sh`` starts."""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dev import redis_server
from dev.rig.net import NET_S
from dev.rig.ports import free_port
from dev.rig.servers.process import wait_until
from session_store import SessionStore, StoreSettings
from session_store.doctor import Verdict, examine
from tests.integration.keeping import talk

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


AT_ONCE: Final = Retry(NoBackoff(), 0)
WATCHED: Final = {
    "REDIS_SCHEME": "redis+sentinel",
    "REDIS_SENTINELS": "127.0.0.1 127.0.0.2 127.0.0.3",
    "REDIS_SENTINELS_WITHIN_S": "0",
}
"""A Redis with three sentinels, for which it does not wait."""


def environment(folder: Path) -> dict[str, str]:
    """Make what a container has: data, temporary files, programs."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    server = redis_server.find_or_install()
    (programs / "redis-server").symlink_to(server)
    (programs / "redis-cli").symlink_to(server.with_name(server.name.replace("server", "cli")))
    (folder / "data").mkdir()
    return {
        "PATH": f"{programs}:{os.defpath}",
        "TMPDIR": str(folder),
        "REDIS_DATA": str(folder / "data"),
    }


class StackRedis:
    """A Redis that runs where a container would be."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.data = folder / "data"
        self._environment = {**environment(folder), "REDIS_PORT": str(self.port)}

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
    def running(self, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Start it, wait until it answers, and kill it at the end."""
        process = self.start(**settings)
        try:
            wait_until(lambda: bool(self.client("rejoin").ping()), "the stack's Redis answers")
            yield process
        finally:
            process.kill()
            process.communicate()

    def client(self, user: str) -> redis.Redis:
        """Return a client that is logged in as one of the shipped users."""
        return redis.Redis(port=self.port, username=user, password=SETTINGS[PASSWORDS[user]])

    def settings(self, user: str, key_file: Path, namespace: str = "") -> StoreSettings:
        """Return the store's settings."""
        url = f"redis://{user}:{SETTINGS[PASSWORDS[user]]}@127.0.0.1:{self.port}/0"
        return StoreSettings.model_validate(
            {"redis_url": url, "key_file": key_file, "namespace": namespace}
        )


@contextmanager
def sentinel(folder: Path, address: str, port: int, *knows: str) -> Iterator[redis.Redis]:
    """Run the script of a sentinel, which has kept ``knows`` under an older password."""
    settings = {
        **environment(folder),
        "REDIS_SENTINEL_PORT": str(port),
        "REDIS_SENTINEL_PASSWORD": SETTINGS["REDIS_SENTINEL_PASSWORD"],
        "REDIS_PRIMARY": SETTINGS["REDIS_PRIMARY"],
    }
    old = (
        "sentinel auth-pass rejoin older",
        "sentinel sentinel-pass older",
        "requirepass older",
        f"user default on #{hashlib.sha256(b'older').hexdigest()} ~* &* +@all",
    )
    kept = (f"port {port}", f"bind {address}", f"dir {folder / 'data'}", *knows, *old)
    (folder / "data" / "sentinel.conf").write_text("\n".join(kept) + "\n")
    process = subprocess.Popen(
        ["sh", DEPLOYED / "sentinel.sh"],  # noqa: S607
        env=settings,
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(address, port, password=settings["REDIS_SENTINEL_PASSWORD"])
    try:
        wait_until(lambda: bool(client.ping()), "the stack's sentinel answers")
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()


def knows(primary: str, epoch: int) -> tuple[str, ...]:
    """Return what a sentinel keeps of the primary that the failover of this number made."""
    return (
        f"sentinel monitor rejoin {primary} 6379 2",
        "sentinel auth-user rejoin sentinel",
        f"sentinel config-epoch rejoin {epoch}",
    )


@pytest.fixture
def stack_redis(tmp_path: Path) -> StackRedis:
    """Return a Redis that has not been started yet."""
    return StackRedis(tmp_path / "stack")


def is_written(client: redis.Redis) -> bool:
    """Return whether all that Redis has acknowledged is in its file."""
    return bool(client.info("persistence")["aof_buffer_length"] == 0)


async def test_conversations_outlive_a_crash_of_redis(
    stack_redis: StackRedis, key_file: Path
) -> None:
    """What the worker's user wrote is there again: no user's rights keep Redis from reading it."""
    settings = stack_redis.settings("rejoin", key_file)
    with stack_redis.running() as process:
        store = SessionStore.from_settings(settings)
        joined = await talk(store, store.pseudonym("somebody"))
        await store.aclose()
        # With "everysec", Redis puts a write off for up to 2 s while the disk is busy.
        with stack_redis.client("rejoin-operator") as client:
            wait_until(lambda: is_written(client), "Redis has written what it acknowledged")
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


async def test_users_reach_the_namespace_that_is_set(
    stack_redis: StackRedis, key_file: Path
) -> None:
    """Scripts and events work there, and are refused outside of it."""
    with stack_redis.running(REJOIN_NAMESPACE="sales"):
        for user in ("rejoin", "rejoin-operator"):
            found = await examine(stack_redis.settings(user, key_file, "sales"))
            verdicts = {each.check: each.verdict for each in found}
            assert {verdicts["scripts"], verdicts["events"]} == {Verdict.OK}
            found = await examine(stack_redis.settings(user, key_file))
            verdicts = {each.check: each.verdict for each in found}
            assert {verdicts["scripts"], verdicts["events"]} == {Verdict.FAIL}


def test_it_does_not_start_with_a_namespace_that_is_not_valid(stack_redis: StackRedis) -> None:
    """The namespace becomes a part of the users' rules."""
    output, _ = stack_redis.start(REJOIN_NAMESPACE="a/b").communicate(timeout=NET_S)
    assert output == "redis: REJOIN_NAMESPACE may hold a-z, 0-9, - and _ only\n"


def test_every_user_has_the_password_that_was_set(stack_redis: StackRedis) -> None:
    """All four can log in, and no other password works, nor an empty one."""
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
                redis.Redis(
                    port=stack_redis.port, username=name, password=password, retry=AT_ONCE
                ) as client,
            ):
                client.ping()


@pytest.mark.parametrize("password", ["", "change-me"])
def test_it_does_not_start_with_an_example(stack_redis: StackRedis, password: str) -> None:
    """A password that is missing or known to all ends the start, and it is said what to do."""
    output, _ = stack_redis.start(REDIS_PASSWORD=password).communicate(timeout=NET_S)
    assert output == "redis: REDIS_PASSWORD is not set; run make secrets\n"


def test_who_has_data_does_not_guess_who_is_the_primary(stack_redis: StackRedis) -> None:
    """While no sentinel answers it ends, to be started again: the others may have newer data."""
    (stack_redis.data / "appendonly.aof").touch()
    process = stack_redis.start(**WATCHED, REDIS_SENTINEL_PORT=str(free_port()))
    output, _ = process.communicate(timeout=NET_S)
    assert (process.returncode, output) == (1, "redis: too few sentinels say who the primary is\n")


def test_one_sentinel_of_three_is_not_believed(stack_redis: StackRedis, tmp_path: Path) -> None:
    """It may be the one that missed the failover."""
    (stack_redis.data / "appendonly.aof").touch()
    port = free_port()
    with sentinel(tmp_path / "1", "127.0.0.1", port, *knows("10.123.117.11", 0)):
        process = stack_redis.start(**WATCHED, REDIS_SENTINEL_PORT=str(port))
        output, _ = process.communicate(timeout=NET_S)
    assert (process.returncode, output) == (1, "redis: too few sentinels say who the primary is\n")


def test_the_old_primary_follows_the_new_one(stack_redis: StackRedis, tmp_path: Path) -> None:
    """Of what the sentinels say the last failover counts, also where one does not know of it."""
    (stack_redis.data / "appendonly.aof").touch()
    port = free_port()
    with ExitStack() as sentinels:
        for address, known in (
            ("127.0.0.1", knows("10.123.117.11", 2)),
            ("127.0.0.3", knows("10.123.117.12", 10)),
        ):
            sentinels.enter_context(sentinel(tmp_path / address, address, port, *known))
        with (
            stack_redis.running(**WATCHED, REDIS_SENTINEL_PORT=str(port)),
            stack_redis.client("sentinel") as client,
        ):
            assert client.execute_command("ROLE")[:2] == [b"slave", b"10.123.117.12"]


def test_a_new_one_starts_before_the_sentinels(stack_redis: StackRedis) -> None:
    """With an empty folder nothing can be lost, and the primary is the one that was named."""
    with (
        stack_redis.running(**WATCHED, REDIS_SENTINEL_PORT=str(free_port())),
        stack_redis.client("sentinel") as client,
    ):
        assert client.execute_command("ROLE")[0] == b"master"


def test_a_failover_changes_no_file_of_the_deployment(stack_redis: StackRedis) -> None:
    """What a sentinel has Redis write down goes into a copy."""
    before = (DEPLOYED / "redis.conf").read_bytes()
    with stack_redis.running(), stack_redis.client("sentinel") as client:
        client.slaveof("10.123.117.12", 6379)
        client.config_rewrite()
    assert (DEPLOYED / "redis.conf").read_bytes() == before


def test_a_sentinel_takes_new_passwords_and_keeps_what_it_knows(tmp_path: Path) -> None:
    """An operator who changes them in .env reaches sentinels that were started before."""
    with sentinel(tmp_path / "s", "127.0.0.1", free_port(), *knows("10.123.117.12", 3)) as client:
        state: Any = client.sentinel_master("rejoin")
        assert (state["ip"], state["config-epoch"]) == ("10.123.117.12", 3)
        client.sentinel_flushconfig()
    kept = (tmp_path / "s" / "data" / "sentinel.conf").read_text()
    assert "older" not in kept
    assert hashlib.sha256(b"older").hexdigest() not in kept
    assert kept.count(SETTINGS["REDIS_SENTINEL_PASSWORD"]) == 3
