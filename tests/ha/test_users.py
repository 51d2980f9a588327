"""The users of ``deploy/redis/users.acl``: they can do what they must, and no more."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
import redis

from dev.rig.servers.process import Login, Server, standalone, wait_until
from dev.rig.servers.sentinels import sentinel_set
from dev.rig.servers.users import (
    LOOKS_AT_ALL,
    OPERATOR,
    REPLICA,
    SENTINEL,
    SHIPPED,
    WORKER,
    as_user,
    guarded_by_users,
    password_of,
    rules_of,
)
from session_store import SessionStore
from session_store.doctor import Verdict, examine
from session_store.errors import LoginRefused, PermissionMissing
from tests.ha.everything import use_everything

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from dev.rig.servers.cluster import ClusterSet
    from session_store import StoreSettings

    Settings = Callable[..., StoreSettings]

_numbers = itertools.count()


def somebody() -> str:
    """Return a person whom no other test knows."""
    return f"user's person {next(_numbers)}"


def used_by(servers: Iterable[Server]) -> set[str]:
    """Return the commands that were run since the counts were reset, as rules name them."""
    used = set()
    for server in servers:
        with server.client() as client:
            used |= {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    return used


def refused_by(servers: Iterable[Server]) -> list[Any]:
    """Return what Redis has refused since its log was reset."""
    refused = []
    for server in servers:
        with server.client() as client:
            refused += client.acl_log()
    return refused


def forget(servers: Iterable[Server]) -> None:
    """Reset counts and logs."""
    for server in servers:
        with server.client() as client:
            client.acl_log_reset()
            client.config_resetstat()


def add_worker(servers: Iterable[Server]) -> None:
    """Make the worker's user on servers that run without a file of users."""
    for server in servers:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", WORKER, "reset", *rules_of(WORKER))


def commands_of(user: str) -> set[str]:
    """Return the commands that a user may run."""
    return {rule[1:] for rule in rules_of(user) if rule.startswith("+")}


def test_the_file_loads_as_it_is_and_lets_nobody_in(tmp_path: Path) -> None:
    """Until passwords are set, no user can log in, and there is no way around a login."""
    with standalone(tmp_path, "--aclfile", str(SHIPPED)) as server:
        for user in (WORKER, OPERATOR, REPLICA, SENTINEL, "default"):
            for password in ("", "0" * 64):
                with (
                    pytest.raises(redis.AuthenticationError),
                    server.client(Login(user, password)) as client,
                ):
                    client.ping()
        with pytest.raises(redis.AuthenticationError), server.client() as client:
            client.ping()


async def test_the_worker_can_do_everything_and_has_no_rule_too_many(
    guarded: Server, settings_for: Settings
) -> None:
    """Every operation works, nothing is refused, and every command allowed is one that is used."""
    forget([guarded])
    settings = settings_for(as_user(f"redis://{guarded.name}/1", WORKER), publish_turns=True)
    await use_everything(settings, somebody())
    assert refused_by([guarded]) == []
    used = used_by([guarded])
    # These are used where there are sentinels, a Cluster, or replicas to wait for; the next test.
    elsewhere = {"role", "wait", "cluster|info", "cluster|slots"}
    assert commands_of(WORKER) - used == elsewhere


async def test_the_worker_finds_the_primaries_of_a_cluster(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Discovery, and waiting for replicas, need no more rights than the user has."""
    add_worker(clustered.servers)
    forget(clustered.servers)
    settings = settings_for(as_user(clustered.url, WORKER), durability="replicated")
    await use_everything(settings, *(somebody() for _ in range(6)))
    assert refused_by(clustered.servers) == []
    used = " ".join(used_by(clustered.servers))
    assert re.search(r"\bcluster\b", used)
    assert re.search(r"\bwait\b", used)


async def test_all_users_together_run_a_set_with_sentinels(
    tmp_path: Path, settings_for: Settings
) -> None:
    """Replicas follow, the sentinels switch to one of them, and the worker finds it."""
    options = [
        *(*guarded_by_users(tmp_path), "--masteruser", REPLICA),
        *("--masterauth", password_of(REPLICA)),
    ]
    config = (
        f'sentinel auth-user main {SENTINEL}\nsentinel auth-pass main "{password_of(SENTINEL)}"\n'
    )
    with sentinel_set(tmp_path, *options, login=LOOKS_AT_ALL, config=config) as group:
        forget(group.servers)
        settings = settings_for(as_user(group.url, WORKER), durability="replicated")
        await use_everything(settings, somebody())
        before = group.primary()
        with group.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", "main")
        wait_until(lambda: group.primary() is not before, "another one is the primary")
        group.heal()
        await use_everything(settings, somebody())
        assert refused_by(group.servers) == []
        assert "role" in used_by(group.servers)


FORBIDDEN: Sequence[Sequence[str]] = [
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("RANDOMKEY",),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("SWAPDB", "0", "1"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("CONFIG", "REWRITE"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", WORKER, "+@all"),
    ("CLIENT", "LIST"),
    ("CLUSTER", "RESET"),
    ("SCRIPT", "FLUSH"),
    ("SAVE",),
    ("MONITOR",),
    ("REPLICAOF", "NO", "ONE"),
    ("SHUTDOWN",),
    ("DUMP", "rj1:check"),
    ("PERSIST", "rj1:check"),
    ("RENAME", "rj1:check", "rj1:other"),
    ("HGETALL", "of somebody else"),
    ("DEL", "rj2:check"),
    ("EVAL", "return redis.call('HGETALL', KEYS[1])", "1", "of somebody else"),
    ("EVAL", "return redis.call('HGETALL', 'of somebody else')", "0"),
    ("EVAL", "return redis.call('KEYS', '*')", "0"),
    ("EVAL", "return redis.call('PUBLISH', 'of somebody else', '')", "0"),
    ("PUBLISH", "of somebody else", ""),
    ("SUBSCRIBE", "of somebody else"),
    ("PSUBSCRIBE", "*"),
    ("PSUBSCRIBE", "rj1:*"),
]


@pytest.mark.parametrize("user", [WORKER, OPERATOR])
def test_what_nobody_needs_is_refused(guarded: Server, user: str) -> None:
    """No list of keys, no emptying, no settings, no keys or channels of others."""
    with guarded.client() as client:
        client.hset("of somebody else", "name", "value")
    for command in FORBIDDEN:
        with (
            guarded.client(Login(user, password_of(user))) as client,
            pytest.raises(redis.ResponseError, match=r"(?i)NOPERM|can't|permission"),
        ):
            pytest.fail(f"{command} was run: {client.execute_command(*command)}")
    with guarded.client() as client:
        assert client.hgetall("of somebody else") == {"name": "value"}


async def test_the_operator_sees_how_the_server_is_set_up(
    guarded: Server, settings_for: Settings
) -> None:
    """The doctor can look at everything as the operator; the worker sees no configuration."""
    forget([guarded])
    url = f"redis://{guarded.name}/1"
    findings = await examine(settings_for(as_user(url, OPERATOR)))
    assert refused_by([guarded]) == []
    assert [each for each in findings if "login" in each.check and each.verdict is Verdict.OK]
    assert await examine(settings_for(as_user(url, WORKER)))
    refused = {each["object"] for each in refused_by([guarded])}
    assert refused <= {"config|get", "config", "acl|whoami", "acl"}
    assert refused
    assert commands_of(OPERATOR) - commands_of(WORKER) == {
        "config|get",
        "acl|whoami",
        "zscan",
    }


@pytest.mark.parametrize(
    "rules",
    [["-evalsha"], ["-hset"], ["-time"], ["resetkeys"], ["resetkeys", "~rj2:*"], ["-subscribe"]],
)
async def test_a_missing_rule_is_an_error_of_its_own(
    plain: Server, settings_for: Settings, rules: list[str]
) -> None:
    """Whichever rule is missing, the store says that a permission is."""
    add_worker([plain])
    with plain.client() as client:
        client.execute_command("ACL", "SETUSER", WORKER, *rules)
    store = SessionStore.from_settings(settings_for(as_user(f"redis://{plain.name}/1", WORKER)))
    maria = store.pseudonym(somebody())
    try:
        call = anext(store.events()) if rules == ["-subscribe"] else store.join(maria)
        with pytest.raises(PermissionMissing, match=r"users\.acl"):
            await call
    finally:
        await store.aclose()


async def test_a_wrong_password_is_an_error_of_its_own(
    guarded: Server, clustered: ClusterSet, settings_for: Settings
) -> None:
    """On one Redis and on a Cluster the login is named as what is wrong, and not repeated."""
    add_worker(clustered.servers)
    for url in (f"redis://{guarded.name}", clustered.url):
        wrong = url.replace("://", f"://{WORKER}:sesame@")
        store = SessionStore.from_settings(settings_for(wrong))
        with pytest.raises(LoginRefused, match="user or password") as refused:
            await store.ping()
        assert "sesame" not in str(refused.value)
        await store.aclose()
