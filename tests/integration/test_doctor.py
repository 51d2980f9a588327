"""The doctor on real servers: each fault is found, named, and told how to be mended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dev.rig.key_file import write_key_file
from dev.rig.net import NET_S
from dev.rig.servers.cluster import cluster
from dev.rig.servers.process import standalone
from session_store import SessionStore, StoreSettings
from session_store.doctor import Finding, Verdict, examine, probes, quick, server
from session_store.doctor.finding import merged, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dev.rig.servers.process import Server

HEALTHY = ("--appendonly", "yes", "--appendfsync", "everysec")


async def quick_look(store: SessionStore) -> list[Finding]:
    """Look at what a store is kept in, as at the start of a process."""
    return await quick(store._backend, store.keyring)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a Redis that is set up as it should be."""
    with standalone(tmp_path_factory.mktemp("healthy"), *HEALTHY) as one:
        yield one


@pytest.fixture
def well(healthy: Server, key_file: Path, tmp_path: Path) -> StoreSettings:
    """Return settings with which nothing is wrong."""
    healthy.make_new()
    key_file.chmod(0o600)
    return StoreSettings.model_validate(
        {
            "redis_url": f"redis://{healthy.name}/0",
            "key_file": key_file,
            "spool_dir": tmp_path / "spool",
            "erasure_journal": tmp_path / "erasures.jsonl",
        }
    )


def changed(settings: StoreSettings, **values: Any) -> StoreSettings:
    """Return other settings."""
    return StoreSettings.model_validate({**settings.model_dump(), **values})


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    """Return findings by name."""
    return {finding.check: finding for finding in findings}


async def test_a_healthy_redis_passes_every_check(well: StoreSettings, healthy: Server) -> None:
    """With everything in order each check says so, none asks for a change, nothing is written."""
    findings = await examine(well)

    assert [each for each in findings if each.verdict is not Verdict.OK or each.change] == []
    assert list(by_check(findings)) == [
        "redis",
        "version",
        "tls",
        "login",
        "eviction",
        "memory",
        "persistence",
        "replicas",
        "latency",
        "clock",
        "scripts",
        "events",
        "keys match",
        "keys",
        "spool",
        "erasure journal",
        "import name",
    ]
    with healthy.client() as client:
        assert client.dbsize() == 0


class Wrong(NamedTuple):
    """A wrong setting of Redis, and the finding that it makes."""

    setting: str
    value: str
    check: str
    verdict: Verdict
    says: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong("maxmemory-policy", "allkeys-lru", "eviction", Verdict.FAIL, "deletes conversations"),
        Wrong("maxmemory-policy", "volatile-ttl", "eviction", Verdict.FAIL, "volatile-ttl"),
        Wrong("appendonly", "no", "persistence", Verdict.FAIL, "nothing is written to disk"),
        Wrong("appendfsync", "no", "persistence", Verdict.WARN, "half a minute"),
        Wrong("maxmemory", "1100000", "memory", Verdict.WARN, "nearly full"),
    ],
    ids=lambda wrong: f"{wrong.setting}={wrong.value}",
)
async def test_a_wrong_setting_is_found(well: StoreSettings, healthy: Server, wrong: Wrong) -> None:
    """One wrong setting of Redis is one finding, which says what to change."""
    with healthy.client() as client:
        before = client.config_get(wrong.setting)[wrong.setting]
        client.config_set(wrong.setting, wrong.value)
        try:
            findings = await examine(well)
        finally:
            client.config_set(wrong.setting, before)

    found = [each for each in findings if each.verdict is not Verdict.OK]
    assert [(each.check, each.verdict) for each in found] == [(wrong.check, wrong.verdict)]
    assert wrong.says in found[0].says
    assert found[0].change


async def test_snapshots_alone_are_a_risk(well: StoreSettings, healthy: Server) -> None:
    """RDB without an append-only file forgets minutes at a crash: a warning."""
    with healthy.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("save", "900 1")
        try:
            finding = by_check(await examine(well))["persistence"]
        finally:
            client.config_set("save", "")
            client.config_set("appendonly", "yes")

    assert finding.verdict is Verdict.WARN
    assert "snapshots only" in finding.says


async def test_who_is_not_reached_is_one_finding(well: StoreSettings) -> None:
    """Without Redis there is one failure, and the checks of this machine go on."""
    findings = by_check(await examine(changed(well, redis_url="redis://127.0.0.1:1/0")))

    assert findings["redis"].verdict is Verdict.FAIL
    assert "does not answer" in findings["redis"].says
    assert findings["keys"].verdict is Verdict.OK
    assert "eviction" not in findings


async def test_a_replica_is_no_place_to_write(
    well: StoreSettings, healthy: Server, tmp_path: Path
) -> None:
    """A URL that leads to a replica is found before anything is lost."""
    with standalone(tmp_path / "r", "--replicaof", "127.0.0.1", str(healthy.port)) as replica:
        findings = by_check(await examine(changed(well, redis_url=f"redis://{replica.name}/0")))

    assert findings["kind"].verdict is Verdict.FAIL
    assert "read-only" in findings["kind"].says


async def test_replicas_are_compared_with_what_is_asked(
    well: StoreSettings, healthy: Server, tmp_path: Path
) -> None:
    """Durability by replicas needs replicas, and a primary that stops without them."""
    replicated = changed(well, durability="replicated")
    alone = by_check(await examine(replicated))["replicas"]
    follow = ("--replicaof", "127.0.0.1", str(healthy.port))
    with standalone(tmp_path / "r", *follow), healthy.client() as client:
        async with asyncio.timeout(NET_S):
            while client.info("replication")["connected_slaves"] < 1:
                await asyncio.sleep(0.02)
        followed = by_check(await examine(replicated))["replicas"]
        client.config_set("min-replicas-to-write", 1)
        try:
            safe = by_check(await examine(replicated))["replicas"]
        finally:
            client.config_set("min-replicas-to-write", 0)

    assert alone.verdict is Verdict.FAIL
    assert followed.verdict is Verdict.WARN
    assert "min-replicas-to-write 1" in followed.change
    assert safe.verdict is Verdict.OK


async def test_missing_rights_are_named(well: StoreSettings, healthy: Server) -> None:
    """A user who may not see, publish or run scripts makes findings, not errors."""
    rules = ["on", ">pw", "~rj1:*", "resetchannels", "+ping", "+hgetall", "+time"]
    with healthy.client() as client:
        client.execute_command("ACL", "SETUSER", "narrow", *rules)
        try:
            url = f"redis://narrow:pw@{healthy.name}/0"
            findings = by_check(await examine(changed(well, redis_url=url)))
            wrong = f"redis://narrow:oops@{healthy.name}/0"
            refused = await examine(changed(well, redis_url=wrong))
        finally:
            client.execute_command("ACL", "DELUSER", "narrow")

    assert findings["server"].verdict is Verdict.WARN
    assert findings["scripts"].verdict is Verdict.FAIL
    assert findings["events"].verdict is Verdict.FAIL
    assert "users.acl" in findings["events"].change
    assert findings["login"].verdict is Verdict.OK
    assert "user or password" in by_check(refused)["redis"].says
    assert "oops" not in str(refused)


async def test_keys_are_looked_at(
    well: StoreSettings, make_store: Callable[..., SessionStore], tmp_path: Path
) -> None:
    """Keys that others may read, other keys, broken keys and no keys are told apart."""
    store = make_store(redis_url=well.redis_url, key_file=well.key_file)
    await store.check()
    assert well.key_file is not None
    well.key_file.chmod(0o644)
    opened = by_check(await examine(well))
    well.key_file.chmod(0o600)
    others = by_check(await examine(changed(well, key_file=write_key_file(tmp_path / "other"))))
    broken = tmp_path / "broken"
    broken.write_text(json.dumps({"keys": {"k-1": "secret"}}))
    malformed = by_check(await examine(changed(well, key_file=broken)))
    missing = by_check(await examine(changed(well, key_file=tmp_path / "none")))

    assert opened["key file"].verdict is Verdict.FAIL
    assert "0644" in opened["key file"].says
    assert opened["keys match"].verdict is Verdict.OK
    assert others["keys match"].verdict is Verdict.FAIL
    assert malformed["keys"].verdict is Verdict.FAIL
    assert "secret" not in str(malformed)
    assert missing["keys"].verdict is Verdict.FAIL
    assert "keys match" not in missing


async def test_a_key_that_was_taken_out_too_early_is_named(
    make_store: Callable[..., SessionStore], well: StoreSettings, tmp_path: Path
) -> None:
    """As long as it wraps a participant's data key, the doctor and each start say so."""
    assert well.key_file is not None
    kept = json.loads(well.key_file.read_text())
    lost = {**kept, "keys": {**kept["keys"], "k-lost": kept["keys"][kept["primary"]]}}
    ring = tmp_path / "ring.json"
    ring.write_text(json.dumps({**lost, "primary": "k-lost"}))
    before = make_store(redis_url=well.redis_url, key_file=ring)
    await before.check()
    maria = before.pseudonym("maria")
    await before.open(maria)
    store = make_store(redis_url=well.redis_url)

    (warned,) = await quick_look(store)
    found = by_check(await examine(well))["keys match"]
    assert warned == found
    assert found.verdict is Verdict.FAIL
    assert "k-lost (1)" in found.says
    await before.erase(maria)
    assert await quick_look(store) == []
    assert "rotated out: k-lost" in by_check(await examine(well))["keys match"].says


async def test_folders_are_looked_at(well: StoreSettings, tmp_path: Path) -> None:
    """Where turns and erasures are kept outside of Redis must be private, and a place to write."""
    none = by_check(await examine(changed(well, spool_dir=None, erasure_journal=None)))
    spool = tmp_path / "open"
    spool.mkdir()
    spool.chmod(0o755)
    file = tmp_path / "journal"
    file.touch(0o644)
    open_ = by_check(await examine(changed(well, spool_dir=spool, erasure_journal=file)))
    wrong = by_check(await examine(changed(well, spool_dir=file)))

    assert none["spool"].verdict is none["erasure journal"].verdict is Verdict.WARN
    assert "0755" in open_["spool"].says
    assert "0644" in open_["erasure journal"].says
    assert wrong["spool"].verdict is Verdict.FAIL


async def test_a_cluster_is_checked_node_by_node(
    key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What all primaries share is said once; what one of them has alone is said with its name."""
    with cluster(tmp_path_factory.mktemp("cluster")) as group:
        odd = group.primaries()[0]
        with odd.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lfu")
        settings = StoreSettings.model_validate({"redis_url": group.url, "key_file": key_file})
        findings = await examine(settings)
        single = changed(settings, redis_url=f"redis://{odd.name}/0")
        alone = by_check(await examine(single))

    eviction = [each for each in findings if each.check == "eviction"]
    assert sorted((each.verdict, each.where.count(",")) for each in eviction) == [
        (Verdict.FAIL, 0),
        (Verdict.OK, 1),
    ]
    assert [each.where for each in eviction if each.verdict is Verdict.FAIL] == [odd.name]
    assert [each.where for each in findings if each.check == "version"] == [""]
    assert by_check(findings)["events"].verdict is Verdict.OK
    assert alone["kind"].verdict is Verdict.FAIL
    assert "redis+cluster://" in alone["kind"].change


async def test_the_start_warns_of_what_loses_conversations(
    make_store: Callable[..., SessionStore], well: StoreSettings, healthy: Server
) -> None:
    """The quick look finds eviction and missing persistence, and is silent where all is well."""
    store = make_store(redis_url=well.redis_url)
    assert await quick_look(store) == []
    with healthy.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            found = await quick_look(store)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")

    assert [each.check for each in found] == ["eviction", "persistence"]
    assert [each.verdict for each in found] == [Verdict.FAIL, Verdict.WARN]
    assert all(each.change for each in found)


async def test_the_quick_look_never_stops_a_start(
    make_store: Callable[..., SessionStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Redis, a stalled one, one that tells nothing, or memory alone: nothing is said."""
    monkeypatch.setattr("session_store.doctor.examination.QUICK_WITHIN_S", 0.3)
    assert await quick_look(make_store(redis_url="redis://127.0.0.1:1/0")) == []
    assert await quick_look(make_store(redis_url="memory://")) == []
    with standalone(tmp_path / "redis") as one:
        with one.client() as client:
            client.execute_command("ACL", "SETUSER", "mute", "on", ">pw", "~*", "+ping")
        assert await quick_look(make_store(redis_url=f"redis://mute:pw@{one.name}/0")) == []
        store = make_store(redis_url=f"redis://{one.name}/0")
        await store.ping()
        one.pause()
        assert await quick_look(store) == []
        one.resume()


async def test_a_store_in_memory_is_named(well: StoreSettings) -> None:
    """What is kept in one process's memory is a warning, and nothing is connected to."""
    findings = by_check(await examine(changed(well, redis_url="memory://")))

    assert findings["redis"].verdict is Verdict.WARN
    assert findings["keys"].verdict is Verdict.OK


def test_slow_and_late_servers_are_judged(well: StoreSettings) -> None:
    """Latency counts against what a rejoin bears and a lease lasts; clocks may be 2 s apart."""
    assert probes.latency([1.0] * 100, well).verdict is Verdict.OK
    assert probes.latency([1.0] * 90 + [50.0] * 10, well).verdict is Verdict.WARN
    assert probes.latency([1500.0] * 100, well).verdict is Verdict.FAIL
    assert probes.clock(-1900).verdict is Verdict.OK
    assert probes.clock(-2100).verdict is Verdict.WARN
    assert "behind" in probes.clock(-2100).says


def test_remote_servers_want_tls_and_a_user(well: StoreSettings) -> None:
    """What is fine on loopback is not on a network: no TLS, the default user, no password."""
    remote = server.Facts("redis.example.org:6379", {}, {}, "default")
    password = changed(well, redis_url="redis://:pw@redis.example.org:6379/0")
    secure = changed(well, redis_url="rediss://app:pw@redis.example.org:6379/0")

    assert server.transport_security(remote, well).verdict is Verdict.WARN
    assert server.transport_security(remote, secure).verdict is Verdict.OK
    assert server.login(remote, well).verdict is Verdict.FAIL
    assert server.login(remote, password).verdict is Verdict.WARN
    assert server.is_local("127.0.0.1:6379")
    assert server.is_local("[::1]:6379")
    assert server.is_local("localhost:6379")
    assert server.is_local("/run/redis.sock")
    assert not server.is_local("10.0.0.1:6379")
    assert not server.is_local("[2001:db8::1]:6379")


def test_old_versions_and_valkey_are_told_apart() -> None:
    """Redis 6.2 is the oldest that works; Valkey is named as itself."""

    def version(**info: str) -> Finding:
        return server.version(server.Facts("", info, {}, None))

    assert version(redis_version="6.2.0").verdict is Verdict.OK
    assert version(redis_version="6.0.16").verdict is Verdict.FAIL
    assert version(redis_version="7.2.4", valkey_version="8.0.1").says == "Valkey 8.0.1"
    assert version(redis_version="255.255.255").verdict is Verdict.OK


def test_a_sentinel_and_failing_disks_are_named(well: StoreSettings) -> None:
    """A URL that leads to a sentinel, and a Redis that cannot write to disk, are failures."""

    def facts(**info: str) -> server.Facts:
        return server.Facts("127.0.0.1:1", info, {"save": "900 1"}, "default")

    (kind,) = server.kind(facts(redis_mode="sentinel"), well)
    assert "redis+sentinel://" in kind.change
    aof = facts(aof_enabled="1", aof_last_write_status="err")
    assert server.persistence(aof).verdict is Verdict.FAIL
    assert server.persistence(facts(rdb_last_bgsave_status="err")).verdict is Verdict.FAIL


def test_findings_of_several_servers_are_merged() -> None:
    """Equal findings become one without a name; others keep the names of their servers."""
    same, other = ok("a", "same"), ok("b", "other")
    found = merged([("one", [same, ok("b", "mine")]), ("two", [same, other])])

    assert [(each.check, each.says, each.where) for each in found] == [
        ("a", "same", ""),
        ("b", "mine", "one"),
        ("b", "other", "two"),
    ]
