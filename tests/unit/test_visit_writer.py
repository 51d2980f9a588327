"""Arrivals and departures on their way to the store."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import pytest_asyncio

from session_store import Keyring, SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.livekit.job.participant import Coming
from session_store.livekit.job.visit_writer import VisitWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_store import Arrival

LOAD = Coming("load-1")


class Scene:
    """A session whose participant is here, and the writer of its job."""

    def __init__(
        self, store: SessionStore, writer: VisitWriter, answers: asyncio.Queue[Arrival]
    ) -> None:
        self.store = store
        self.writer = writer
        self.answers = answers

    async def counted(self) -> bool:
        """Return whether the next arrival that the store answers was a return."""
        async with asyncio.timeout(20):
            return (await self.answers.get()).counted


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Join."""
    keyring = Keyring(
        {"k": secrets.token_bytes(32)}, primary="k", pseudonym_key=secrets.token_bytes(32)
    )
    store = SessionStore(MemoryBackend.from_settings(StoreSettings()), keyring)
    joined = await store.join(store.pseudonym("maria"), load_id=LOAD.load_id)
    answers: asyncio.Queue[Arrival] = asyncio.Queue()
    writer = VisitWriter(store, joined.lease, on_arrived=answers.put_nowait)
    yield Scene(store, writer, answers)
    await writer.aclose()


async def test_a_return_is_one_even_if_the_departure_was_not_written_yet(scene: Scene) -> None:
    """The store is slow, or was away all the time."""
    scene.writer.left()
    scene.writer.came(LOAD)
    assert await scene.counted()


async def test_of_several_returns_that_could_not_be_written_one_is(scene: Scene) -> None:
    """The participant is here at the end, and nothing more is on its way."""
    for _ in range(3):
        scene.writer.left()
        scene.writer.came(LOAD)
    assert await scene.counted()
    scene.writer.came(LOAD)
    assert not await scene.counted()
    assert scene.answers.empty()


async def test_the_participant_who_left_last_is_away(scene: Scene) -> None:
    """The next arrival is a return, whatever was on its way before."""
    scene.writer.came(LOAD)
    scene.writer.left()
    await asyncio.sleep(0)
    scene.writer.came(LOAD)
    assert await scene.counted()
