"""Departures and arrivals, as the store counts them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dev.rig.net import NET_S
from session_store import SessionState
from session_store.livekit.job.participant import Coming
from session_store.livekit.job.visit_writer import VisitWriter

if TYPE_CHECKING:
    from session_store import SessionStore
    from session_store.values import Arrival


async def test_a_return_counts_though_the_departure_was_not_written_yet(
    store: SessionStore,
) -> None:
    """Under the same load id too: a caller has none. Without that nobody would be welcomed."""
    joined = await store.join(store.pseudonym("maria"))
    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    visits = VisitWriter(store, joined.lease, on_arrived=arrivals.put_nowait)
    async with asyncio.timeout(NET_S):
        for visit in (1, 2):
            visits.left()
            visits.came(Coming(""))
            arrival = await arrivals.get()
            assert (arrival.counted, arrival.reconnect_count) == (True, visit)
    await visits.aclose()


async def test_the_newest_departure_wins(store: SessionStore) -> None:
    """A participant who came and left before anything was written is away."""
    joined = await store.join(store.pseudonym("maria"))
    arrivals: list[Arrival] = []
    visits = VisitWriter(store, joined.lease, on_arrived=arrivals.append)
    visits.left()
    visits.came(Coming(""))
    visits.left()
    async with asyncio.timeout(NET_S):
        while True:
            loaded = await store.load(joined.session.participant, joined.session.id)
            assert loaded is not None
            if loaded.session.state is SessionState.AWAY:
                break
    assert arrivals == []
    await visits.aclose()
