"""What every measurement needs: contestants in fresh databases."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from benchmarks.store.contestants import Agents, Pipeline
from benchmarks.store.ours import Ours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable
    from pathlib import Path

    from benchmarks.store.contestants import Contestant
    from benchmarks.store.plan import Plan
    from benchmarks.store.server import Databases

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stage:
    """Makes contestants."""

    databases: Databases
    key_file: Path
    plan: Plan

    @asynccontextmanager
    async def contestant(self, name: str, database: str) -> AsyncIterator[Contestant]:
        """Make one, and close it in the end."""
        made: Contestant
        if name == "ours":
            made = Ours(database, self.key_file)
        elif name == "pipeline":
            made = Pipeline(database)
        else:
            made = Agents(database, encrypted=name == "encrypted_session")
        try:
            yield made
        finally:
            await made.aclose()

    @asynccontextmanager
    async def ours(self, database: str) -> AsyncIterator[Ours]:
        """Make the store itself, with what only it can."""
        made = Ours(database, self.key_file)
        try:
            yield made
        finally:
            await made.aclose()


def names(count: int) -> list[str]:
    """Name so many sessions."""
    return [f"{number:05d}" for number in range(count)]


async def at_most(concurrency: int, calls: Iterable[Coroutine[None, None, Result]]) -> list[Result]:
    """Await all, so many at a time."""
    free = asyncio.Semaphore(concurrency)

    async def one(call: Coroutine[None, None, Result]) -> Result:
        async with free:
            return await call

    return await asyncio.gather(*[one(call) for call in calls])
