"""The monitor on real servers: what is wrong now is found, named, and said in an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from dev.rig.net import NET_S
from dev.rig.servers.process import standalone, wait_until
from dev.rig.servers.users import LOOKS_AT_ALL, OPERATOR, WORKER, as_user, guarded_by_users
from session_store import SessionStore, StoreSettings
from session_store.backends.redis.backend import RedisBackend
from session_store.cli.app import run
from session_store.doctor import Verdict
from session_store.livekit.telemetry.worker_memory import MemoryGauge, resident_bytes
from session_store.meter import Meter
from session_store.monitor import Gauges, Report, checks, look
from session_store.monitor.gauges import fullest
from session_store.monitor.servers import Replica, ServerNow
from session_store.upkeep.sweeper import Sweeper
from tests.integration.keeping import pass_time, talk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from session_store.doctor import Finding
    from tests.integration.scrape import Scraped

CHILD_BYTES = 256 * 1024 * 1024


@asynccontextmanager
async def opened(settings: StoreSettings) -> AsyncIterator[RedisBackend]:
    """Open what the monitor looks through."""
    async with aclosing(RedisBackend.from_settings(settings)) as backend:
        yield backend


async def report_on(settings: StoreSettings) -> Report:
    """Look once."""
    async with opened(settings) as backend:
        return await look(backend, settings)


def finding(report: Report, check: str) -> Finding:
    """Return the only finding of a check."""
    [found] = [each for each in report.findings if each.check == check]
    return found


async def test_a_store_that_is_looked_after_is_well(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """With a sweeper, and an agent for each participant, every check passes; nothing changes."""
    await talk(store, store.pseudonym("maria"))
    await Sweeper(store).sweep()
    await store._backend.sweepers("a sweeper", 3000)
    before = await raw.dbsize()

    report = await report_on(settings)

    assert [each for each in report.findings if each.verdict is not Verdict.OK] == []
    assert report.verdict is Verdict.OK
    assert report.sessions is not None
    assert (report.sessions.sessions, report.sessions.live) == (1, 1)
    assert (report.sessions.unattended, report.sessions.sweepers) == (0, 1)
    [server] = report.servers
    assert server.memory_bytes > 0
    assert 0 < server.ping_p50_ms <= server.ping_p99_ms
    assert await raw.dbsize() == before


async def test_sessions_that_nobody_looks_at_are_found(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """Without sweepers, deadlines pass, agents are not missed, and both are said."""
    await talk(store, store.pseudonym("maria"))
    await talk(store, store.pseudonym("john"))
    await pass_time(raw, 100)

    report = await report_on(settings)

    assert report.sessions is not None
    assert (report.sessions.overdue.sessions, report.sessions.overdue.stale) == (2, 2)
    assert report.sessions.overdue.oldest_s > 90
    assert report.sessions.unattended == 2
    assert finding(report, "deadlines").verdict is Verdict.FAIL
    assert finding(report, "sweepers").verdict is Verdict.FAIL
    assert "2 of 2 live sessions have none" in finding(report, "agents").says
    assert report.verdict is Verdict.FAIL


async def test_a_sweep_behind_time_is_a_warning(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """A deadline of some seconds ago is not yet a missed one."""
    await talk(store, store.pseudonym("maria"))
    await pass_time(raw, 20)

    behind = finding(await report_on(settings), "deadlines")

    assert behind.verdict is Verdict.WARN
    assert "behind" in behind.says


async def test_a_sweeper_that_is_silent_is_gone(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """What it said of itself long ago does not count."""
    await store._backend.sweepers("a sweeper", 3000)
    await raw.zadd("rj1:sweepers", {"a sweeper": 1})

    report = await report_on(settings)

    assert report.sessions is not None
    assert report.sessions.sweepers == 0


async def test_deadlines_of_nobody_are_counted_and_looked_past(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """Another program's members in the set stop nothing."""
    await talk(store, store.pseudonym("maria"))
    await raw.zadd("rj1:{s0001}:due", {"nonsense": 1, "no:one": 1})

    report = await report_on(settings)

    assert report.sessions is not None
    assert report.sessions.overdue.stale == 2
    assert report.sessions.looked_at == 1


async def test_who_is_not_reached_is_the_only_finding(settings: StoreSettings) -> None:
    """Without Redis there is nothing else to be said, and no error."""
    away = {**settings.model_dump(), "redis_url": "redis://127.0.0.1:1/0"}
    report = await report_on(StoreSettings.model_validate(away))

    assert [each.check for each in report.findings] == ["redis"]
    assert report.verdict is Verdict.FAIL
    assert (report.servers, report.sessions) == ([], None)


async def test_a_full_disk_and_evictions_are_found(key_file: Path, tmp_path: Path) -> None:
    """Redis itself tells that it cannot save, and that it has deleted keys."""
    folder = tmp_path / "redis"
    # At the start: Redis 7 lets no client change where snapshots go.
    options = ("--maxmemory-policy", "allkeys-random", "--dbfilename", "taken.rdb")
    with standalone(folder, *options) as server:
        with server.client() as client:
            client.set("some", "x" * 500_000)
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
            for number in range(50):
                client.set(f"more {number}", "x" * 20_000)
            assert client.info("stats")["evicted_keys"] > 0
            client.config_set("maxmemory", 0)
            # A folder in its place: the snapshot cannot be written.
            (folder / "taken.rdb").mkdir()
            client.bgsave()
            wait_until(
                lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
                "the snapshot fails",
            )
        url = f"redis://{server.name}/0"
        settings = StoreSettings.model_validate({"redis_url": url, "key_file": key_file})
        report = await report_on(settings)

    assert finding(report, "evictions").verdict is Verdict.FAIL
    assert "conversations are lost" in finding(report, "evictions").says
    assert finding(report, "disk").verdict is Verdict.FAIL


async def test_a_replica_is_seen(key_file: Path, tmp_path: Path) -> None:
    """Where turns count as saved by replicas, they must be there."""
    with standalone(tmp_path / "primary") as primary:
        settings = StoreSettings.model_validate(
            {
                "redis_url": f"redis://{primary.name}/0",
                "key_file": key_file,
                "durability": "replicated",
            }
        )
        alone = await report_on(settings)
        follow = ("--replicaof", "127.0.0.1", str(primary.port))
        with standalone(tmp_path / "replica", *follow) as replica, primary.client() as client:
            wait_until(
                lambda: client.info("replication").get("slave0", {}).get("state") == "online",
                "the replica follows",
            )
            followed = await report_on(settings)

    assert finding(alone, "replicas").verdict is Verdict.FAIL
    assert finding(followed, "replicas").verdict is Verdict.OK
    assert [each.where for each in followed.servers[0].replicas] == [replica.name]


@pytest.mark.parametrize("user", [OPERATOR, WORKER])
async def test_the_shipped_users_may_look(user: str, key_file: Path, tmp_path: Path) -> None:
    """Neither for people nor for workers a right more is needed."""
    with standalone(tmp_path, *guarded_by_users(tmp_path), login=LOOKS_AT_ALL) as server:
        url = as_user(f"redis://{server.name}/0", user)
        settings = StoreSettings.model_validate({"redis_url": url, "key_file": key_file})
        async with aclosing(SessionStore.from_settings(settings)) as store:
            await talk(store, store.pseudonym("maria"))
        report = await report_on(settings)
        with server.client() as client:
            assert client.acl_log() == []

    assert report.sessions is not None
    assert report.sessions.live == 1
    assert len(report.servers) == 1


def server_now(**changed: Any) -> ServerNow:
    """Return a primary with which nothing is wrong, but for what is changed."""
    well: dict[str, Any] = {
        "where": "redis:6379",
        "memory_bytes": 1024 * 1024,
        "memory_max_bytes": 1024 * 1024 * 1024,
        "fragmentation": 1.1,
        "evicted_keys": 0,
        "clients": 10,
        "clients_max": 10_000,
        "clients_rejected": 0,
        "saves": True,
        "loading": False,
        "replicas": (),
        "ping_p50_ms": 0.2,
        "ping_p99_ms": 1.0,
    }
    return ServerNow(**{**well, **changed})


@pytest.mark.parametrize(
    ("changed", "check", "verdict"),
    [
        ({"memory_bytes": 850, "memory_max_bytes": 1000}, "memory", Verdict.WARN),
        ({"memory_bytes": 950, "memory_max_bytes": 1000}, "memory", Verdict.FAIL),
        ({"memory_bytes": 2**30, "fragmentation": 2.0}, "fragmentation", Verdict.WARN),
        ({"evicted_keys": 1}, "evictions", Verdict.FAIL),
        ({"saves": False}, "disk", Verdict.FAIL),
        ({"loading": True}, "disk", Verdict.FAIL),
        ({"replicas": (Replica("a:1", online=False, lag_s=0),)}, "replicas", Verdict.WARN),
        ({"replicas": (Replica("a:1", online=True, lag_s=30),)}, "replicas", Verdict.WARN),
        ({"clients": 9_000}, "clients", Verdict.WARN),
        ({"clients_rejected": 1}, "clients", Verdict.WARN),
        ({"ping_p50_ms": 30.0}, "round trip", Verdict.WARN),
        ({"ping_p50_ms": 1500.0}, "round trip", Verdict.FAIL),
    ],
)
def test_each_figure_has_its_bound(
    changed: dict[str, Any], check: str, verdict: Verdict, settings: StoreSettings
) -> None:
    """One figure out of bounds is one finding, with what to do."""
    findings = list(checks.of_server(server_now(**changed), settings))
    wrong = [each for each in findings if each.verdict is not Verdict.OK and each.check == check]

    assert [(each.check, each.verdict) for each in wrong] == [(check, verdict)]
    assert wrong[0].change
    assert [
        each for each in checks.of_server(server_now(), settings) if each.verdict is not Verdict.OK
    ] == []


class Heard(Meter):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self.complete = asyncio.Event()

    @override
    def sessions_stale(self, sessions: int) -> None:
        self.figures["stale"] = sessions

    @override
    def sweep_lag(self, seconds: float) -> None:
        self.figures["lag"] = seconds

    @override
    def redis_memory(self, used: int, most: int) -> None:
        self.figures |= {"used": used, "most": most}
        self.complete.set()

    @override
    def worker_memory(self, size: int) -> None:
        self.figures["worker"] = size
        self.complete.set()


def test_the_fullest_primary_is_told() -> None:
    """A full primary cannot save its keys, however empty the others are."""
    assert fullest([(5, 10), (9, 10), (100, 0)]) == (9, 10)
    assert fullest([(5, 0), (7, 0)]) == (7, 0)


async def test_prometheus_is_told_the_same(store: SessionStore, raw: Any) -> None:
    """A worker's main process tells how many sessions are stale, since when, and how full it is."""
    await talk(store, store.pseudonym("maria"))
    await pass_time(raw, 100)
    await raw.config_set("maxmemory", 10**9)
    meter = Heard()
    try:
        async with aclosing(Gauges(store._backend, meter)) as gauges, asyncio.timeout(NET_S):
            gauges.start()
            await meter.complete.wait()
    finally:
        await raw.config_set("maxmemory", 0)

    assert meter.figures["stale"] == 1
    assert meter.figures["lag"] > 90
    assert meter.figures["most"] == 10**9
    assert 0 < meter.figures["used"] < 10**9


async def test_gauges_wait_for_a_redis_that_is_away(
    make_store: Callable[..., SessionStore],
) -> None:
    """They stay as they were, and go on looking."""
    away = make_store(redis_url="redis://127.0.0.1:1/0")
    meter = Heard()
    async with aclosing(Gauges(away._backend, meter, every_s=0.01)) as gauges:
        gauges.start()
        await asyncio.sleep(0.2)
        assert gauges._loop.is_running

    assert meter.figures == {}


async def test_a_worker_s_memory_has_that_of_its_processes() -> None:
    """What it started counts too; its own may shrink a little meanwhile."""
    script = f"filled = b'x' * {CHILD_BYTES}; print(); input()"
    alone = resident_bytes()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=PIPE, stdout=PIPE
    )
    assert child.stdout is not None
    try:
        await child.stdout.readline()  # Now its memory is full.
        with_child = resident_bytes()
        meter = Heard()
        async with aclosing(MemoryGauge(meter)) as gauge, asyncio.timeout(NET_S):
            gauge.start()
            await meter.complete.wait()
    finally:
        child.kill()
        await child.wait()

    assert with_child > alone + CHILD_BYTES / 2
    assert meter.figures["worker"] > CHILD_BYTES


def test_a_real_worker_tells_prometheus(scraped: Scraped) -> None:
    """Its main process looks from its start on, as the user that is shipped for it."""
    value = scraped.killed.value

    assert value("rejoin_worker_memory_bytes") > 50 * 1024 * 1024
    assert value("rejoin_redis_memory_bytes") > 0
    assert value("rejoin_redis_memory_max_bytes") == 0
    assert value("rejoin_stale_sessions") == 0
    assert value("rejoin_sweep_lag_seconds") >= 0


@pytest.fixture
def program(settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command line against the test's Redis."""
    for name in list(os.environ):
        if name.startswith("REJOIN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REJOIN_REDIS_URL", settings.redis_url.get_secret_value())

    def run_with(*arguments: str, redis_url: str | None = None) -> int:
        if redis_url is not None:
            monkeypatch.setenv("REJOIN_REDIS_URL", redis_url)
        return run(arguments)

    return run_with


async def let_somebody_talk(settings: StoreSettings) -> None:
    """Let a participant be there, with a sweeper."""
    async with aclosing(SessionStore.from_settings(settings)) as store:
        await talk(store, store.pseudonym("maria"))
        await store._backend.sweepers("a sweeper", 3000)


def test_the_exit_code_is_that_of_a_monitoring_plugin(
    program: Callable[..., int], settings: StoreSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where all is well, 2 where something is critical; no key is needed."""
    asyncio.run(let_somebody_talk(settings))
    well = program("monitor")
    said = capsys.readouterr().out
    away = program("monitor", redis_url="redis://127.0.0.1:1/0")
    complained = capsys.readouterr().out

    assert (well, away) == (0, 2)
    assert "1 live sessions" in said
    assert "->" not in said
    assert "does not answer" in complained
    assert "->" in complained


def test_a_warning_alone_is_1(
    program: Callable[..., int], redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty store without sweepers is no emergency."""
    assert redis_url
    assert program("monitor", "--json") == 1

    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "warn"
    assert said["sessions"]["sessions"] == 0
    assert said["servers"][0]["memory_bytes"] > 0
    assert {each["verdict"] for each in said["findings"]} == {"ok", "warn"}


def test_memory_is_no_redis(program: Callable[..., int]) -> None:
    """What is inside of one process cannot be looked at from another."""
    assert program("monitor", redis_url="memory://") == 2
