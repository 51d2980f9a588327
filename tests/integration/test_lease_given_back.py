"""A participant who comes back while the job before is still on its way out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit.protocol.agent import Job
from livekit.protocol.models import Room

from dev.rig.net import NET_S
from session_store.livekit.job.joining import join_or_begin
from session_store.livekit.job.participant import Coming, JobParticipant

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_store import SessionStore


async def test_a_lease_that_is_given_back_is_taken_at_once(
    make_store: Callable[..., SessionStore], settings: Any
) -> None:
    """LiveKit tells a job late that its room has closed: a new room of that name is waiting."""
    long = settings.model_copy(update={"lease_s": 100 * NET_S})
    store = make_store(lease_s=long.lease_s)
    maria = store.pseudonym("maria")
    before = await store.join(maria, owner="before")
    job = Job(room=Room(name="room"), agent_name="assistant")
    setup: Any = SimpleNamespace(
        ctx=SimpleNamespace(job=job), store=store, settings=long, scope=None
    )
    joining = asyncio.create_task(
        join_or_begin(setup, JobParticipant("maria", maria, None, {}), Coming(""), "after")
    )
    # It finds the lease held, and waits.
    await asyncio.sleep(0.1)
    assert not joining.done()

    await store.leave(before.lease)
    await store.release(before.lease)

    async with asyncio.timeout(NET_S):
        entry = await joining
    assert entry.joined.session.id == before.session.id
