"""``is_takeover``: a job asks whether another one began in its room before it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from session_store.livekit import TakeoverUnknown, is_takeover
from session_store.livekit.job.room_mark import mark_room
from session_store.livekit.rooms.dispatch import SUCCESSOR
from tests.integration.test_recorder import away, back

if TYPE_CHECKING:
    from collections.abc import Callable

    from dev.rig.servers.process import Server
    from session_store import SessionStore, StoreSettings


class Job:
    """A job's context with what the question uses of it, before any connection."""

    def __init__(
        self, job_id: str, *, room: str = "room", agent: str = "caller", **attributes: str
    ) -> None:
        self.worker_id = "worker"
        self.job: Any = SimpleNamespace(
            id=job_id, agent_name=agent, room=SimpleNamespace(name=room), attributes=attributes
        )
        self.shutdowns: list[str] = []

    def is_fake_job(self) -> bool:
        """Return that it is a real one."""
        return False

    def shutdown(self, reason: str = "") -> None:
        """Note that the job is to end."""
        self.shutdowns.append(reason)


async def ask(job: Job, store: SessionStore, settings: StoreSettings) -> bool:
    """Ask for a job."""
    context: Any = job
    return await is_takeover(context, store, settings)


async def test_the_first_job_of_a_room_is_no_takeover_and_the_next_one_is(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """Each hears the same as often as it asks; another room or agent is another matter."""
    first, second = Job("1"), Job("2")
    assert [await ask(first, store, settings) for _ in range(2)] == [False, False]
    assert [await ask(second, store, settings) for _ in range(2)] == [True, True]
    assert not await ask(first, store, settings)
    assert not await ask(Job("3", room="another"), store, settings)
    assert not await ask(Job("4", agent="another"), store, settings)
    keys = [key.decode() for key in await raw.keys("rj1:room:*")]
    assert len(keys) == 3
    assert not any("another" in key or "caller" in key for key in keys)
    assert 0 < await raw.pttl(keys[0]) <= settings.retention_s * 1000


async def test_a_job_that_joins_leaves_the_mark_too(
    store: SessionStore, settings: StoreSettings
) -> None:
    """The first job may not have asked."""
    first: Any = Job("1")
    await mark_room(first, store, settings)
    assert await ask(Job("2"), store, settings)
    assert not await ask(first, store, settings)


async def test_a_dispatch_that_says_so_needs_no_store(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """A watcher writes it into the dispatch of a successor."""
    await away(raw)
    assert await ask(Job("2", **{SUCCESSOR: "1"}), store, settings)
    await back(raw)


async def test_if_nothing_answers_the_question_is_open(
    store: SessionStore, settings: StoreSettings, raw: Any
) -> None:
    """It raises, and has ended the job. A job that has joined makes up for the mark."""
    await away(raw)
    job: Any = Job("1")
    with pytest.raises(TakeoverUnknown, match="Do not repeat what must happen once"):
        await ask(job, store, settings)
    assert job.shutdowns == ["it is unknown whether this is a takeover"]
    marking = asyncio.create_task(mark_room(job, store, settings))
    await asyncio.sleep(0)
    await back(raw)
    await marking
    assert await ask(Job("2"), store, settings)


async def test_a_store_that_hangs_is_not_waited_for(
    redis_server: Server, make_store: Callable[..., SessionStore], settings: StoreSettings
) -> None:
    """The job does not wait for the store's own timeout: a person who is called hears silence."""
    store = make_store(redis_timeout_s=60)
    await store.ping()
    redis_server.pause()
    try:
        with pytest.raises(TakeoverUnknown):
            await ask(Job("1"), store, settings)
    finally:
        redis_server.resume()


@pytest.mark.parametrize("enabled", [True, False])
async def test_nobody_takes_over_where_nothing_is_kept(
    settings: StoreSettings, *, enabled: bool
) -> None:
    """In LiveKit's console and tests, and switched off: no key is needed."""
    job: Any = Job("1")
    job.is_fake_job = lambda: enabled
    off = settings.model_copy(update={"enabled": enabled, "key_file": None})
    assert not await is_takeover(job, settings=off)
