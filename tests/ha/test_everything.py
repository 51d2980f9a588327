"""Every operation of the store, on every kind of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_store.backends.contract import Backend
from session_store.backends.redis.backend import RedisBackend
from tests.ha.everything import use_everything

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from dev.rig.servers.cluster import ClusterSet
    from dev.rig.servers.process import Server
    from dev.rig.servers.sentinels import SentinelSet
    from dev.rig.servers.tls import TLSRedis
    from session_store import StoreSettings

    Settings = Callable[..., StoreSettings]

PATIENT = {"redis_timeout_s": 30.0}
"""Nothing here is about a Redis that does not answer; on a busy machine, it may be slow."""
NONE = {"side", "measure", "trace"}
"""What a backend has besides operations."""
OPERATIONS = {name for name in vars(Backend) if not name.startswith("_")} - NONE
MANY = [f"person {n}" for n in range(6)]
"""So many that each primary of a Cluster serves some of them."""


async def test_the_store_works_on_one_redis(plain: Server, settings_for: Settings) -> None:
    """Every operation works, in a database of its own."""
    await use_everything(settings_for(f"redis://{plain.name}/1", **PATIENT), "maria")


async def test_every_operation_is_among_them(
    plain: Server, settings_for: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new operation of the backends is used here too, or this test says which one is not."""
    used: set[str] = set()

    def noted(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **options: Any) -> Any:
            used.add(name)
            return operation(*args, **options)

        return note

    for name in OPERATIONS:
        monkeypatch.setattr(RedisBackend, name, noted(name, getattr(RedisBackend, name)))
    await use_everything(settings_for(f"redis://{plain.name}/1", **PATIENT), "maria")
    assert OPERATIONS - used == set()


async def test_the_store_works_with_sentinels(
    sentinels: SentinelSet, settings_for: Settings
) -> None:
    """Every operation works, with each turn on both replicas before it counts as saved."""
    settings = settings_for(sentinels.url, durability="replicated", replicas_asked=2, **PATIENT)
    await use_everything(settings, "maria")


async def test_the_store_works_on_a_cluster(clustered: ClusterSet, settings_for: Settings) -> None:
    """Every operation works for people on every primary, and its events are heard on any."""
    settings = settings_for(clustered.url, durability="replicated", publish_turns=True, **PATIENT)
    await use_everything(settings, *MANY)


async def test_the_store_works_behind_tls(encrypted: TLSRedis, settings_for: Settings) -> None:
    """Every operation works over TLS with a certificate on both sides."""
    settings = settings_for(
        encrypted.url,
        redis_ca_file=encrypted.ca_file,
        redis_cert_file=encrypted.cert_file,
        redis_key_file=encrypted.key_file,
        **PATIENT,
    )
    await use_everything(settings, "maria")
