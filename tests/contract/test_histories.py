"""Many writers at once, cuts, pauses and kills: what was acknowledged is there, and in order."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dev.rig.net import NET_S
from dev.rig.servers.process import standalone
from session_store import SessionStore, StoreSettings
from session_store.backends.redis.backend import RedisBackend
from session_store.sealing.keyring import Keyring
from tests.contract.histories import History, Outcome
from tests.contract.proxy import Proxy
from tests.contract.workload import Vandal, Writers, read_finals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dev.rig.servers.process import Server

LONG = bool(os.environ.get("REJOIN_LONG"))
SETTINGS = {
    "lease_s": 0.3,
    "lease_renew_s": 0.1,
    "max_turns": 40,
    "redis_timeout_s": 0.4,
    "redis_retry_s": 0.02,
}
WRITERS, PEOPLE = 6, 4


@contextmanager
def own_redis(folder: Path, *, durable: bool) -> Iterator[Server]:
    """Run a Redis for one test; ``durable``: it answers when a write is on the disk."""
    durably = ("--appendonly", "yes", "--appendfsync", "always")
    with standalone(folder, *(durably if durable else ())) as server:
        yield server


def says_something(history: History) -> bool:
    """Return whether enough has happened: successes, lost answers, and claims."""
    seen = Counter((each.kind, each.outcome) for each in history.ops)
    return (
        seen["append", Outcome.OK] > 20
        and seen["join", Outcome.OK] > 5
        and sum(count for (_, outcome), count in seen.items() if outcome is Outcome.UNKNOWN) > 3
        and any(each.wanted for each in history.ops)
    )


@pytest.mark.redis
@pytest.mark.parametrize("kills", [False, True], ids=["cuts and pauses", "kills too"])
async def test_what_was_acknowledged_survives(tmp_path: Path, *, kills: bool) -> None:
    """Six writers on three participants, while the wire is cut and Redis hangs, or is killed."""
    seed = secrets.randbits(32) if LONG else 4
    rng = random.Random(seed)  # noqa: S311 (a test's choices are no secret)
    keyring = Keyring(
        {"k-1": secrets.token_bytes(32)}, primary="k-1", pseudonym_key=secrets.token_bytes(32)
    )
    history = History(lease_s=SETTINGS["lease_s"], max_turns=int(SETTINGS["max_turns"]))
    with own_redis(tmp_path, durable=kills) as server:
        async with Proxy(server.port) as proxy:

            def store(port: int) -> SessionStore:
                settings = {**SETTINGS, "redis_url": f"redis://127.0.0.1:{port}/0"}
                return SessionStore(
                    RedisBackend.from_settings(StoreSettings.model_validate(settings)), keyring
                )

            people = [keyring.pseudonym(f"person {number}") for number in range(PEOPLE)]
            writers = Writers(history, people, rng)
            stores = [store(proxy.port) for _ in range(WRITERS)]
            writing = [asyncio.create_task(writers.run(each)) for each in stores]
            vandal = Vandal(history, server, proxy, rng, kills=kills)
            await vandal.run(600 if LONG else 40)
            async with asyncio.timeout(NET_S):
                # On a busy machine, less happens in the same time.
                while not says_something(history):
                    await vandal.run(10)
            writers.over.set()
            await asyncio.gather(*writing)
            reader = store(server.port)
            await read_finals(history, reader)
            for each in (*stores, reader):
                await each.aclose()
    assert history.violations() == [], f"seed {seed}"
    assert history.finals
