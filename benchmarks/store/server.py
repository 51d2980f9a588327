"""The Redis that is measured on: started empty, on loopback, keeping nothing on disk."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from dev import redis_server
from dev.await_ready import await_all
from dev.commands import DevError
from dev.ports import next_free

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_FIRST_PORT = 7900
_DATABASES = 64
_START_S = 20.0


class Databases:
    """Gives out the addresses of databases that nobody has written to."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._numbers = itertools.count()

    def fresh(self) -> str:
        """Return the address of the next one."""
        return f"{self._server}/{next(self._numbers)}"


@contextmanager
def running_redis() -> Iterator[Databases]:
    """Start a Redis for as long as the block runs.

    Raises:
        DevError: there is none on this machine, or it stopped at once.
    """
    port = next_free(_FIRST_PORT)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(redis_server.find_or_install()),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", folder),
            *("--save", "", "--appendonly", "no", "--databases", str(_DATABASES)),
        ]
        log = Path(folder, "log")
        with log.open("wb") as output, subprocess.Popen(command, stdout=output) as server:
            try:
                await_all({"Redis": f"redis://127.0.0.1:{port}"}, timeout_s=_START_S)
                if server.poll() is not None:
                    # What answered is somebody else's, who was quicker to take the port.
                    raise DevError("The Redis to measure on stopped at once; try again.")
                yield Databases(f"redis://127.0.0.1:{port}")
            finally:
                server.terminate()


async def version(database: str) -> str:
    """Return the server's version."""
    async with Redis.from_url(database) as raw:
        return str((await raw.info("server"))["redis_version"])


async def used_memory(database: str) -> int:
    """Return the bytes that the whole server has allocated."""
    async with Redis.from_url(database) as raw:
        return int((await raw.info("memory"))["used_memory"])


async def script_calls(database: str) -> int:
    """Return how many scripts clients have run so far."""
    async with Redis.from_url(database) as raw:
        stats = await raw.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval")
    return sum(int(stats[name]["calls"]) for name in names if name in stats)


async def memory_of_keys(database: str) -> int:
    """Return what Redis spends on all keys of a database, by its own account, in bytes."""
    async with Redis.from_url(database) as raw:
        return sum([await _memory_of(raw, key) async for key in raw.scan_iter()])


async def lists_of(database: str) -> AsyncIterator[tuple[list[bytes], int]]:
    """Yield each list of a database, with the bytes that Redis spends on it."""
    async with Redis.from_url(database) as raw:
        async for key in raw.scan_iter(_type="LIST"):
            items: list[Any] = await raw.lrange(key, 0, -1)
            yield items, await _memory_of(raw, key)


async def _memory_of(raw: Redis, key: bytes) -> int:
    # SAMPLES 0: each element counts, none is guessed.
    return int(await raw.memory_usage(key, samples=0) or 0)
