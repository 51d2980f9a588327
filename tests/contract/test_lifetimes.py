"""Nothing stays for ever, even if every sweeper dies."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from session_store.backends.values import OpenMode
from session_store.keys import EXPIRY_MARGIN
from tests.contract.people import (
    MARIA,
    join,
    nonce,
    open_session,
    sealed,
    sealed_turns,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from session_store.backends.contract import Backend
    from tests.contract.people import Job
    from tests.contract.worlds import World

DAY_MS = 24 * 3_600_000
MARGIN_MS = round(EXPIRY_MARGIN.total_seconds() * 1000)


async def test_everything_has_a_lifetime(backend: Backend, world: World) -> None:
    """After every operation there is nothing that would stay for ever."""

    async def check() -> None:
        assert all(lives > 0 for lives in (await world.lifetimes()).values())

    await backend.check_values({"a": b"1"})
    await backend.sweepers("me", 1000)
    await backend.side.count(date(2026, 3, 1), [MARIA], {"connects": 1})
    await backend.side.audit({"n": "1"})
    await backend.side.mark_room("mac", nonce(), 1000)
    await check()
    found, _ = await open_session(backend, expect_agent=True)
    await check()
    job = await join(backend)
    await check()
    await job.append(*sealed_turns(2))
    await backend.update(job.lease, 0, b"content", witness_seq=2)
    await check()
    await backend.append_late(job.lease, job.late(sealed("late")))
    await backend.edit(MARIA, job.id, job.lease.data_key_id, 1, b"again", witness_seq=2)
    await check()
    await backend.renew(job.lease)
    await backend.arrive(job.lease, nonce(), "b")
    await backend.leave(job.lease)
    await check()
    await backend.set_consent(MARIA, given=True, version="1")
    await backend.set_retention(MARIA, 1000)
    await check()
    wrapped = found.session.wrapped
    await backend.rewrap(MARIA, wrapped, wrapped._replace(kek_id="k-2", wrapped=b"anew"))
    await check()
    await backend.expect_agent(MARIA, job.id, claim=True)
    await backend.give_back_claim(MARIA, job.id)
    await backend.settle(MARIA, job.id)
    await check()
    await open_session(backend, mode=OpenMode.NEW)
    await backend.close(MARIA, job.id)
    await check()
    await backend.delete(MARIA, job.id)
    await check()


async def test_what_nobody_cleans_up_expires(backend: Backend, world: World) -> None:
    """Without any sweeper, a participant is gone one hour after the retention."""
    job = await join(backend)
    await job.append(sealed("turn 1"))
    await world.pass_time(24 * 3600 + 3500)
    assert await backend.load(MARIA, job.id, last=None) is not None
    await world.pass_time(200)
    assert await backend.load(MARIA, job.id, last=None) is None
    assert await backend.participant(MARIA) is None
    assert (await backend.sessions(MARIA, offset=0, limit=9)).total == 0
    again, _ = await open_session(backend)
    assert again.created


async def _append(job: Job) -> object:
    return await job.append(sealed("turn"))


async def _update(job: Job) -> object:
    return await job.backend.update(job.lease, 0, b"content", witness_seq=0)


async def _edit(job: Job) -> object:
    key_id = job.lease.data_key_id
    return await job.backend.edit(MARIA, job.id, key_id, 0, b"content", witness_seq=0)


async def _append_late(job: Job) -> object:
    return await job.backend.append_late(job.lease, job.late(sealed("late")))


async def _renew(job: Job) -> object:
    await job.backend.renew(job.lease)
    return None


async def _arrive(job: Job) -> object:
    return await job.backend.arrive(job.lease, nonce(), "")


async def _leave(job: Job) -> object:
    return await job.backend.leave(job.lease)


async def _switch(job: Job) -> object:
    return await open_session(job.backend, wanted=job.id, mode=OpenMode.SWITCH)


async def _join(job: Job) -> object:
    return await join(job.backend, owner=job.lease.owner)


@pytest.mark.parametrize(
    "write", [_append, _update, _edit, _append_late, _renew, _arrive, _leave, _switch, _join]
)
async def test_every_write_keeps_the_whole_participant(
    world: World, write: Callable[[Job], Awaitable[object]]
) -> None:
    """A session never outlives the data key that opens it, nor the list that names it."""
    # Windows so long that only lifetimes end anything here.
    windows = {
        "resume_window_first_s": 10 * 24 * 3600,
        "resume_window_early_s": 10 * 24 * 3600,
    }
    backend = world.another(**windows)
    job = await join(backend)
    await backend.append(job.lease, 1, b"", [sealed("turn 1")])
    job.seq, job.tag = 1, sealed("turn 1")[-16:]
    await world.pass_time(20 * 3600)
    await write(job)
    await world.pass_time(20 * 3600)
    stored = await job.load()
    assert stored.turns[0] == sealed("turn 1")
    assert [stored.id] == [
        each.id for each in (await backend.sessions(MARIA, offset=0, limit=9)).sessions
    ]


async def test_a_participants_own_retention_is_the_lifetime(backend: Backend, world: World) -> None:
    """What is written under it lives as long as it says, and the margin."""
    job = await join(backend)
    for retention_ms in (2 * DAY_MS, 60_000):
        await backend.set_retention(MARIA, retention_ms)
        await job.append(sealed(f"turn {retention_ms}"))
        lives = await world.lifetimes()
        own = [left for name, left in lives.items() if MARIA in name or job.id in name]
        assert own
        for left in own:
            assert 0 <= retention_ms + MARGIN_MS - left < 60_000
