"""The backends, each in a world of its own, and one Redis for all tests of this folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from dev.rig.net import NET_S
from dev.rig.servers.process import standalone
from session_store import SessionStore, StoreSettings
from session_store.sealing.keyring import Keyring
from tests.contract.worlds import MemoryWorld, RedisWorld, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from dev.rig.servers.process import Server
    from session_store.backends.contract import Backend


PATIENT = {"redis_timeout_s": NET_S}
"""These tests are about what Redis does, not about one that is slow."""

WITH_NAMESPACE = frozenset({"test_side", "test_joining", "test_people"})
"""Modules that use keys of every kind."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "redis: needs a real Redis; `make test-fast` leaves it out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real Redis."""
    for item in items:
        if isinstance(item, pytest.Function) and _needs_redis(item):
            item.add_marker("redis")


def _needs_redis(item: pytest.Function) -> bool:
    if "tests/contract" not in item.path.as_posix():
        return False
    if "world" in item.fixturenames:
        return item.callspec.params["world"] != "memory"
    return "redis_server" in item.fixturenames


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a real Redis on a free port of loopback."""
    with standalone(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """Empty the database and return its address."""
    redis_server.make_new()
    return f"redis://{redis_server.name}/0"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules a third time, with a namespace."""
    if "world" in metafunc.fixturenames:
        kinds = ["memory", "redis"]
        if metafunc.module.__name__.rpartition(".")[2] in WITH_NAMESPACE:
            kinds.append("namespaced")
        metafunc.parametrize("world", kinds, indirect=True)


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Return an empty store of each kind in turn."""
    made: World
    if request.param == "memory":
        made = MemoryWorld(StoreSettings())
    else:
        url = request.getfixturevalue("redis_url")
        namespace = "sales" if request.param == "namespaced" else ""
        settings = {**PATIENT, "redis_url": url, "namespace": namespace}
        made = RedisWorld(StoreSettings.model_validate(settings))
    yield made
    await made.aclose()


@pytest.fixture
async def redis_world(redis_url: str) -> AsyncIterator[RedisWorld]:
    """Return an empty Redis, for tests of what only a server can do."""
    made = RedisWorld(StoreSettings.model_validate({**PATIENT, "redis_url": redis_url}))
    yield made
    await made.aclose()


@pytest.fixture
def backend(world: World) -> Backend:
    """Return a backend with default settings."""
    return world.backend


@pytest.fixture
def keyring() -> Keyring:
    """Return random keys."""
    return Keyring(
        {"k-1": secrets.token_bytes(32)}, primary="k-1", pseudonym_key=secrets.token_bytes(32)
    )


@pytest.fixture
def make_store(world: World, keyring: Keyring) -> Callable[..., SessionStore]:
    """Make stores, each as its own process would have one, with settings changed at will."""

    def make(**changed: Any) -> SessionStore:
        return world.store(keyring, **changed)

    return make


@pytest.fixture
def store(make_store: Callable[..., SessionStore]) -> SessionStore:
    """Return a store with default settings."""
    return make_store()
