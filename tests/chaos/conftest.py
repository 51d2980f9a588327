"""One set of servers for all chaos tests, which is mended between them.

The short form runs each test once. The long form, ``make chaos`` (``REJOIN_LONG=1``), runs each
several times, and those that take minutes.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest
import pytest_asyncio

from dev.rig.network import Island, island, why_not
from dev.rig.stand import Stand, running
from tests.chaos.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dev.rig.worker import Worker

LONG = os.environ.get("REJOIN_LONG") == "1"
ROUNDS = 4 if LONG else 1

AGENT_EXPECTED_S = "5"
"""Half of what it is by default, since several tests wait for its end."""

only_long = pytest.mark.skipif(not LONG, reason="takes minutes; make chaos runs it")


@pytest.fixture(autouse=True, params=range(1, ROUNDS + 1), ids="round-{}".format)
def each_round(request: pytest.FixtureRequest) -> int:
    """Run each test as often as the form says."""
    number: int = request.param
    return number


class Wires(NamedTuple):
    """What the second worker hangs on."""

    worker: Worker
    to_redis: Wire
    to_livekit: Wire
    """To its signals and API; sound goes another way."""


class Servers(NamedTuple):
    """What runs for all tests."""

    stand: Stand
    wires: Wires
    island: Island | None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Start everything once but the two workers, of which the second can be cut off."""
    folder = tmp_path_factory.mktemp("chaos")
    async with AsyncExitStack() as stack:
        islands = [] if why_not() else [stack.enter_context(island())]
        stand = await stack.enter_async_context(
            running(folder, workers=0, islands=islands, REJOIN_AGENT_EXPECTED_S=AGENT_EXPECTED_S)
        )
        to_redis = await stack.enter_async_context(Wire(stand.redis.port))
        to_livekit = await stack.enter_async_context(Wire(stand.livekit.port))
        stand.new_worker()
        worker = stand.new_worker(
            REJOIN_REDIS_URL=stand.redis_url_at("127.0.0.1", to_redis.port),
            LIVEKIT_URL=stand.livekit.url_at("127.0.0.1", to_livekit.port),
        )
        wires = Wires(worker, to_redis, to_livekit)
        yield Servers(stand, wires, islands[0] if islands else None)


@pytest_asyncio.fixture(loop_scope="session")
async def stand(servers: Servers) -> Stand:
    """Mend what the test before has broken: all servers and both workers run, and idle."""
    await mend(servers, run=True)
    return servers.stand


@pytest_asyncio.fixture(loop_scope="session")
async def without_workers(servers: Servers) -> Stand:
    """Mend the same, but let no worker run: two that a test killed at once would start in vain."""
    await mend(servers, run=False)
    return servers.stand


async def mend(servers: Servers, *, run: bool) -> None:
    """Bring back what a test has broken; both workers run then, or none."""
    servers.wires.to_redis.heal()
    servers.wires.to_livekit.heal()
    await servers.stand.mend(workers=2, run=run)


@pytest.fixture
def wires(servers: Servers) -> Wires:
    """Return the wires, whole, and the worker that hangs on them."""
    return servers.wires


@pytest.fixture
def far(servers: Servers) -> Island:
    """Return a network of its own, for a worker that is to be cut off altogether."""
    if servers.island is None:
        pytest.skip(f"no network of its own: {why_not()}")
    servers.island.redis.heal()
    servers.island.livekit.heal()
    return servers.island
