"""The store's clock is set back: what was written before does not bind for too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_store.keys import MAX_DEATHS, shard_of
from tests.contract.people import MARIA, is_due, join, nonce

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from tests.contract.worlds import World


@pytest.mark.parametrize("back_s", [60, 3600])
async def test_a_dead_job_is_replaced_although_the_clock_was_set_back(
    backend: Backend, world: World, back_s: int
) -> None:
    """Its lease, its deadline, and whoever was expected are of a time that tells nothing."""
    job = await join(backend)
    await backend.sweepers("a sweeper", 3000)
    await world.pass_time(-back_s)

    live = await backend.sweepers("another sweeper", 3000)
    assert (live.was_set_back, live.names) == (True, ["another sweeper"])
    assert not await is_due(backend, MARIA, job.id)
    await backend.make_all_due([shard_of(MARIA)])
    assert await is_due(backend, MARIA, job.id)
    assert (await backend.settle(MARIA, job.id)).outcome == "ORPHANED"
    claimed, _ = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="a")
    assert claimed == "WANTED"
    # That agent is expected, until the clock is set back once more.
    await world.pass_time(-back_s)
    claimed, _ = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="b")
    assert claimed == "WANTED"
    assert (await join(backend)).outcome == "taken_over"


@pytest.mark.parametrize("back_s", [60, 3600])
async def test_a_pause_of_dispatches_ends_although_the_clock_was_set_back(
    backend: Backend, world: World, back_s: int
) -> None:
    """Neither deaths nor a pause of the time before count."""
    for _ in range(MAX_DEATHS + 1):
        job = await join(backend)
        claimed, _ = await backend.claim_orphan(
            MARIA, job.id, owner=job.lease.owner, idempotency_key=nonce()
        )
    assert claimed == "GAVE_UP"
    await world.pass_time(-back_s)
    claimed, _ = await backend.claim_orphan(MARIA, job.id, owner="", idempotency_key="a")
    assert claimed == "WANTED"
