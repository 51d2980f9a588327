"""A real Redis, started once per run; every test gets an empty database of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dev.rig.key_file import write_key_file
from dev.rig.servers.process import standalone
from session_store import SessionStore, StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from dev.rig.servers.process import Server
    from tests.integration.following_jobs import Job
    from tests.integration.scrape import Scraped
    from tests.integration.stage import Stage


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a real Redis on a free port of loopback."""
    with standalone(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_port(redis_server: Server) -> int:
    """Return its port."""
    return redis_server.port


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Scraped:
    """Run a worker and a gateway once, with two people, and read their metrics."""
    from tests.integration.scrape import scrape_a_run  # noqa: PLC0415 (it uses this module)

    return asyncio.run(scrape_a_run(tmp_path_factory.mktemp("scrape")))


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """Empty the database and return its address."""
    redis_server.make_new()
    return f"redis://{redis_server.name}/0"


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Any]:
    """Look into Redis past the store, as an operator or an attacker would."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Return a key file with random keys."""
    return write_key_file(tmp_path / "keys.json")


@pytest.fixture
def settings(redis_url: str, key_file: Path) -> StoreSettings:
    """Return settings that point at the test's Redis and keys."""
    return StoreSettings.model_validate({"redis_url": redis_url, "key_file": key_file})


@pytest.fixture
async def make_store(
    settings: StoreSettings,
) -> AsyncIterator[Callable[..., SessionStore]]:
    """Make stores, each as its own process would have one, with settings changed at will."""
    made: list[SessionStore] = []

    def make(**changed: Any) -> SessionStore:
        store = SessionStore.from_settings(
            StoreSettings.model_validate({**settings.model_dump(), **changed})
        )
        made.append(store)
        return store

    yield make
    for store in made:
        await store.aclose()


@pytest.fixture
def store(make_store: Callable[..., SessionStore]) -> SessionStore:
    """Return a store with default settings."""
    return make_store()


@pytest.fixture
async def stage(
    store: SessionStore, settings: StoreSettings
) -> AsyncIterator[Callable[..., Stage]]:
    """Set up jobs for the same participant, one after another, with settings changed at will."""
    # Not at the top: tests without an agent need not wait for LiveKit's import.
    from tests.integration.stage import Stage  # noqa: PLC0415

    stages: list[Stage] = []

    def set_up(**changed: Any) -> Stage:
        stages.append(Stage(store, settings.model_copy(update=changed)))
        return stages[-1]

    yield set_up
    for each in stages:
        await each.end()


@pytest_asyncio.fixture
async def job(store: SessionStore, settings: StoreSettings) -> AsyncIterator[Callable[..., Any]]:
    """Begin jobs of one conversation, one after another."""
    from tests.integration import following_jobs  # noqa: PLC0415 (only these tests need LiveKit)

    jobs: list[Job] = []

    async def begin(model: Any = None, **more: Any) -> Job:
        jobs.append(following_jobs.Job(store, settings, model, **more))
        return await jobs[-1].join()

    yield begin
    for each in jobs:
        await each.stage.end()
