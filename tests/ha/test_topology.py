"""Finding the primaries, on real servers of each kind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from dev.rig.ports import free_port
from dev.rig.servers.process import QUICK, Login, Server, running
from dev.rig.servers.sentinels import SERVICE
from dev.rig.servers.tls import Authority
from session_store.backends.redis.backend import transport_options
from session_store.backends.transport import transport
from session_store.errors import InvalidValue
from session_store.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.sentinels import SentinelSet
    from dev.rig.servers.tls import TLSRedis
    from session_store import StoreSettings
    from session_store.backends.transport.node import Node
    from session_store.backends.transport.topology import Topology

    Settings = Callable[..., StoreSettings]

NOBODY = "127.0.0.1:1"
KEYS = [f"rj1:{{s{shard:04d}}}:due" for shard in range(SHARDS)]


def topology_of(settings: StoreSettings) -> Topology:
    """Return the topology that a store with these settings uses."""
    return transport.topology_of(transport_options(settings))


@asynccontextmanager
async def connected(settings: StoreSettings) -> AsyncIterator[Topology]:
    """Build a topology and find the primaries."""
    topology = topology_of(settings)
    try:
        await topology.connect()
        yield topology
    finally:
        await topology.aclose()


async def call(node: Node, *command: str) -> Any:
    """Run one command on a new connection, as the pipeline does."""
    [reply] = await node.ask(command, timeout_s=5)
    if isinstance(reply, Exception):
        raise reply
    return reply


async def test_one_redis_is_where_the_url_says(plain: Server, settings_for: Settings) -> None:
    """Its connections log in, choose the database, and are ready for raw commands."""
    async with connected(settings_for(f"redis://127.0.0.1:{plain.port}/3")) as topology:
        node = topology.node_of("rj1:check")
        await topology.refresh()
        assert topology.nodes() == (node,)
        assert node.name == plain.name
        info = await call(node, "CLIENT", "INFO")
        assert b" db=3 " in info
        async with topology.plain_client() as client:
            assert await client.ping()


async def test_a_connection_begins_with_nothing_but_its_login(
    locked: Server, settings_for: Settings
) -> None:
    """AUTH is all: no library name, no HELLO, no notifications."""
    settings = settings_for(f"redis://:right@{locked.name}")
    with locked.client(Login(None, "right")) as client:
        client.config_resetstat()
        async with connected(settings) as topology:
            await call(topology.nodes()[0], "PING")
        counts = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    by_this_test = {name for name in counts if name.startswith("cmdstat_config")}
    assert {name: counts[name] for name in counts if name not in by_this_test} == {
        "cmdstat_auth": 1,
        "cmdstat_ping": 1,
    }


async def test_a_socket_is_reached(tmp_path: Path, settings_for: Settings) -> None:
    """A Redis on the same machine can be reached without the network."""
    socket = tmp_path / "r.sock"
    server = Server(tmp_path / "data", *QUICK, "--unixsocket", str(socket))
    with running(server):
        async with connected(settings_for(f"unix://{socket}?db=2")) as topology:
            assert b" db=2 " in await call(topology.nodes()[0], "CLIENT", "INFO")


async def test_a_login_that_is_wrong_is_refused(locked: Server, settings_for: Settings) -> None:
    """No password, a wrong one, and a wrong user are refused; the right one is taken."""
    for login in ("", ":wrong@", "nobody:right@"):
        async with connected(settings_for(f"redis://{login}{locked.name}")) as topology:
            with pytest.raises(AuthenticationError):
                await call(topology.nodes()[0], "PING")
    async with connected(settings_for(f"redis://:right@{locked.name}")) as topology:
        assert await call(topology.nodes()[0], "PING") == b"PONG"


async def test_nobody_there_is_said(settings_for: Settings) -> None:
    """At an address without a listener, every kind says so at once."""
    async with connected(settings_for(f"redis://{NOBODY}")) as topology:
        with pytest.raises(RedisConnectionError):
            await call(topology.nodes()[0], "PING")
    for url in (f"redis+sentinel://{NOBODY},127.0.0.1:2/main", f"redis+cluster://{NOBODY}"):
        topology = topology_of(settings_for(url))
        with pytest.raises(RedisConnectionError):
            await topology.connect()
        assert topology.nodes() == ()
        with pytest.raises(RedisError):
            topology.node_of("x")
        with pytest.raises(RedisError):
            topology.plain_client()


async def test_one_that_is_paused_is_given_up(tmp_path: Path, settings_for: Settings) -> None:
    """A server that accepts and never answers is left after the time-out."""
    server = Server(tmp_path, *QUICK)
    with running(server):
        settings = settings_for(f"redis+cluster://app:word@{server.name}", redis_timeout_s=0.2)
        server.pause()
        topology = topology_of(settings)
        with pytest.raises(RedisTimeoutError, match=server.name):
            await topology.connect()


async def test_the_sentinels_name_the_primary(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """The primary is the one that they name; it stays the same object as long as they do."""
    async with connected(settings_for(sentinels.url)) as topology:
        node = topology.node_of("rj1:check")
        assert node.name == sentinels.primary().name
        assert (await call(node, "ROLE"))[0] == b"master"
        await asyncio.gather(topology.refresh(), topology.refresh(), topology.connect())
        assert topology.nodes() == (node,)
        async with topology.plain_client() as client:
            assert await client.ping()


async def test_a_service_that_no_sentinel_knows_is_named(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """The error repeats the name that was asked for."""
    url = sentinels.url.replace(SERVICE, "mian")
    with pytest.raises(MasterNotFoundError, match="'mian'"):
        await topology_of(settings_for(url)).connect()


async def test_a_sentinel_that_is_no_sentinel_is_named(
    plain: Server, settings_for: Settings
) -> None:
    """The URL of a plain Redis, written as one of sentinels or a Cluster, is refused."""
    for scheme, service in (("redis+sentinel", "/main"), ("redis+cluster", "")):
        with pytest.raises(ResponseError, match=r"(?i)unknown command|cluster support disabled"):
            await topology_of(settings_for(f"{scheme}://{plain.name}{service}")).connect()


async def test_one_sentinel_may_be_away(sentinels: SentinelSet, settings_for: Settings) -> None:
    """With one of three paused, and one more in the URL that is gone, the others are enough."""
    away = sentinels.sentinels[0]
    url = sentinels.url.replace("//", f"//{NOBODY},")
    away.pause()
    try:
        async with connected(settings_for(url, redis_timeout_s=1)) as topology:
            assert len(topology.nodes()) == 1
    finally:
        away.resume()


async def test_sentinels_have_a_login_of_their_own(tmp_path: Path, settings_for: Settings) -> None:
    """User and password of the URL are for Redis; at the sentinels, two commands are enough."""
    redis_server = Server(tmp_path / "redis", *QUICK, "--requirepass", "right")
    config = (
        f"sentinel monitor main 127.0.0.1 {redis_server.port} 1\n"
        "sentinel auth-pass main right\n"
        "user default off\n"
        "user finder on >other -@all +sentinel|get-master-addr-by-name +sentinel|master\n"
    )
    login = {"redis_sentinel_user": "finder", "redis_sentinel_password": "other"}
    sentinel = Server(tmp_path / "sentinel", sentinel_config=config)
    url = f"redis+sentinel://:right@{sentinel.name}/main/5"
    with running(redis_server, sentinel):
        async with connected(settings_for(url, **login)) as topology:
            assert b" db=5 " in await call(topology.nodes()[0], "CLIENT", "INFO")
        with pytest.raises(AuthenticationError):
            await topology_of(settings_for(url)).connect()
        wrong = url.replace(":right@", ":wrong@")
        with pytest.raises(AuthenticationError):
            await topology_of(settings_for(wrong, **login)).connect()


async def test_a_replica_is_never_taken_for_the_primary(
    tmp_path: Path, settings_for: Settings
) -> None:
    """Where a sentinel still names a server that has become a replica, that is an error."""
    # Of its own: the sentinels of another primary could make this replica their primary.
    primary = Server(tmp_path / "primary", *QUICK)
    replica = Server(tmp_path / "redis", *QUICK, "--replicaof", "127.0.0.1", str(primary.port))
    # It will not notice in this test's time that it watches a replica.
    config = f"sentinel monitor main 127.0.0.1 {replica.port} 2\n"
    sentinel = Server(tmp_path / "sentinel", sentinel_config=config)
    with running(primary, replica, sentinel):
        topology = topology_of(settings_for(f"redis+sentinel://{sentinel.name}/main"))
        with pytest.raises(RedisConnectionError, match=f"{replica.name} .* is a replica"):
            await topology.connect()
        assert topology.nodes() == ()


async def test_every_shard_of_a_cluster_has_its_primary(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """From two nodes all three primaries are found, and each key's node accepts it."""
    async with connected(settings_for(clustered.url)) as topology:
        assert {node.name for node in topology.nodes()} == {
            server.name for server in clustered.primaries()
        }
        assert {topology.node_of(key) for key in KEYS} == set(topology.nodes())
        for key in KEYS[:30]:
            # Elsewhere it would be MOVED; other tests may have left it behind.
            assert await call(topology.node_of(key), "EXISTS", key) in {0, 1}
        async with topology.plain_client() as client:
            assert await client.ping()


async def test_a_slot_that_moved_is_found_again(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """After MOVED a refresh finds the slot; nodes that stayed are the same objects."""
    key = KEYS[7]
    async with connected(settings_for(clustered.url)) as topology:
        before = topology.nodes()
        source, target = clustered.move_slot(key)
        assert topology.node_of(key).name == source.name
        with pytest.raises(MovedError):
            await call(topology.node_of(key), "EXISTS", key)
        await asyncio.gather(*(topology.refresh() for _ in range(10)))
        assert topology.node_of(key).name == target.name
        assert await call(topology.node_of(key), "EXISTS", key) in {0, 1}
        assert set(topology.nodes()) == set(before)


async def test_concurrent_refreshes_share_one_discovery(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """A hundred callers who find a primary gone ask the nodes once."""

    def asked() -> int:
        total = 0
        for server in clustered.servers:
            with server.client() as client:
                stats = client.info("commandstats")
            total += sum(stats[name]["calls"] for name in stats if "cluster" in name)
        return total

    async with connected(settings_for(clustered.url)) as topology:
        before = asked()
        await topology.refresh()
        once = asked() - before
        await asyncio.gather(*(topology.refresh() for _ in range(100)))
        assert asked() - before <= 2 * once


async def test_a_waiter_that_gives_up_does_not_stop_the_others(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """A call that is cancelled while it waits for a discovery leaves it running for the rest."""
    topology = topology_of(settings_for(clustered.url))
    first = asyncio.create_task(topology.connect())
    second = asyncio.create_task(topology.connect())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert len(topology.nodes()) == 3
    await topology.aclose()


async def test_a_slot_without_a_primary_is_an_error_of_its_own(
    tmp_path: Path, settings_for: Settings
) -> None:
    """Keys of slots that no node serves are refused, the others work."""
    server = Server(tmp_path, *QUICK, "--cluster-enabled", "yes")
    with running(server), server.client() as client:
        client.cluster("ADDSLOTS", client.cluster("KEYSLOT", KEYS[0]))
        async with connected(settings_for(f"redis+cluster://{server.name}")) as topology:
            assert topology.node_of(KEYS[0]).name == server.name
            with pytest.raises(ClusterDownError):
                topology.node_of(KEYS[1])


async def test_tls_is_spoken_both_ways(
    encrypted: TLSRedis, settings_for: Settings, tmp_path: Path
) -> None:
    """The server must be signed by the given authority, and we show our own certificate."""
    ours = {"redis_cert_file": encrypted.cert_file, "redis_key_file": encrypted.key_file}
    right = settings_for(encrypted.url, redis_ca_file=encrypted.ca_file, **ours)
    async with connected(right) as topology:
        assert await call(topology.nodes()[0], "PING") == b"PONG"
        async with topology.plain_client() as client:
            assert await client.ping()
    another = Authority(tmp_path, "another")
    refused = {
        "an unknown authority": settings_for(encrypted.url, **ours),
        "another authority": settings_for(encrypted.url, redis_ca_file=another.file, **ours),
        "no certificate of ours": settings_for(encrypted.url, redis_ca_file=encrypted.ca_file),
        "another name": settings_for(
            encrypted.url.replace("127.0.0.1", "localhost"), redis_ca_file=encrypted.ca_file, **ours
        ),
    }
    for why, settings in refused.items():
        async with connected(settings) as topology:
            with pytest.raises((RedisError, OSError)):
                pytest.fail(f"accepted: {why} {await call(topology.nodes()[0], 'PING')}")


def test_certificates_that_cannot_be_used_are_named(
    encrypted: TLSRedis, settings_for: Settings, tmp_path: Path
) -> None:
    """Missing files, files that are none, and certificates without TLS are told at once."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "missing.pem", empty):
        with pytest.raises(InvalidValue, match="REJOIN_REDIS_CA_FILE"):
            topology_of(settings_for(encrypted.url, redis_ca_file=path))
    with pytest.raises(InvalidValue, match="begin it with rediss"):
        topology_of(settings_for("redis://box", redis_ca_file=encrypted.ca_file))
    with pytest.raises(InvalidValue, match="memory://"):
        topology_of(settings_for("memory://"))


async def test_a_discovery_survives_a_node_that_answers_nonsense(
    clustered: ClusterSet, settings_for: Settings
) -> None:
    """Something else that listens at one of the addresses does not hide the nodes."""

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(babble, "127.0.0.1", port):
        url = clustered.url.replace("//", f"//127.0.0.1:{port},")
        async with connected(settings_for(url)) as topology:
            assert len(topology.nodes()) == 3
