"""``is_takeover``: whether another job began in this room before this one.

A program that does something once per room, such as dialling a number, asks before it does it: its
job may be the successor of one that did it already. Two things answer. A watcher's dispatch of a
successor says so itself. Else a mark in the store does: the first job of a room and an agent name
that asks or joins sets it, and any other job finds it there.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from session_store.errors import SessionStoreError
from session_store.livekit.job.job_exit import JobExit
from session_store.livekit.rooms.dispatch import SUCCESSOR
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.tasks import Outage, reason_of

if TYPE_CHECKING:
    from livekit.agents import JobContext

logger = logging.getLogger(__name__)

ANSWERS_WITHIN_S: Final = 1.0
"""How long the store may take. A person who is called hears silence meanwhile."""


class TakeoverUnknown(SessionStoreError):
    """Nothing says whether another job began in this room. Do not repeat what it may have done."""


async def is_takeover(
    ctx: JobContext, store: SessionStore | None = None, settings: StoreSettings | None = None
) -> bool:
    """Return whether another job of this agent name began in this room before this one.

    It needs no participant, and may be asked before ``ctx.connect`` and ``persist``. Asked again,
    it answers the same. It does not say how far the other job came: look whether what it should do
    was done, whether the callee is in the room for example.

    False in a job without a room, and with ``REJOIN_ENABLED=0``: then nobody takes over.

    Args:
        ctx: the job.
        store: as for ``persist``.
        settings: as for ``persist``.

    Raises:
        TakeoverUnknown: the dispatch does not say it, and the store did not answer within 1 s.
            This has ended the job, as a ``persist`` that raises does.
    """
    if ctx.is_fake_job() or not (settings := settings or StoreSettings()).enabled:
        return False
    if _is_sent_as_successor(ctx):
        return True
    async with AsyncExitStack() as at_the_end:
        if store is None:
            store = SessionStore.from_settings(settings)
            at_the_end.push_async_callback(store.aclose)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                return await _mark(ctx, store, settings) != _owner(ctx, store)
        except (SessionStoreError, TimeoutError) as error:
            JobExit(ctx).leave("it is unknown whether this is a takeover")
            raise TakeoverUnknown(
                "whether another job began in this room is unknown: the store did not answer "
                f"({reason_of(error)}). Do not repeat what must happen once, such as a call; "
                "look at Redis (REJOIN_REDIS_URL), and dispatch the agent again"
            ) from None


async def mark_room(ctx: JobContext, store: SessionStore, settings: StoreSettings) -> None:
    """Mark the room of a job that has joined, as soon as the store can be reached."""
    outage = Outage(logger, "mark of the room", "")
    while True:
        try:
            await _mark(ctx, store, settings)
        except SessionStoreError as error:
            await outage.pause(error)
        else:
            outage.over()
            return


async def _mark(ctx: JobContext, store: SessionStore, settings: StoreSettings) -> str:
    """Mark the room, unless another job has; return whose it is."""
    job = ctx.job
    # Agents of another name have marks of their own. Only a MAC of both names is kept.
    place = f"{len(job.agent_name)}:{job.agent_name}{job.room.name}"
    lifetime = timedelta(seconds=settings.retention_s)
    return await store.side.mark_room(
        store.keyring.fingerprint("room", place),
        _owner(ctx, store),
        lifetime // timedelta(milliseconds=1),
    )


def _owner(ctx: JobContext, store: SessionStore) -> str:
    return store.owner_of(ctx.worker_id, ctx.job.id)


def _is_sent_as_successor(ctx: JobContext) -> bool:
    # An older livekit-protocol knows no attributes of a job.
    attributes = getattr(ctx.job, "attributes", {})
    return SUCCESSOR in attributes
