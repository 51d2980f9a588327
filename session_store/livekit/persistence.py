"""``persist``: one call that makes a LiveKit agent's conversation survive."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from livekit.agents.voice.room_io import RoomOptions

from session_store.errors import LeaseHeld, SessionStoreError, StoreUnavailable
from session_store.livekit.conversation import Conversation
from session_store.livekit.greeting import Visit, words_of_welcome
from session_store.livekit.owner import JobMetadata, Owner, load_id_of, metadata_of
from session_store.livekit.sight import wait_for_participant

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession, JobContext

    from session_store.settings import StoreSettings
    from session_store.store import Joined, SessionStore

WAIT_FOR_PARTICIPANT_S: Final = 60.0


class NobodyCame(SessionStoreError):
    """The job was dispatched, but its participant did not come."""


async def persist(  # noqa: PLR0913 (what has a default is seldom given)
    ctx: JobContext,
    agent_session: AgentSession[Any],
    store: SessionStore,
    settings: StoreSettings,
    *,
    room_options: RoomOptions | None = None,
    words: Callable[[Visit], str] = words_of_welcome,
) -> Conversation:
    """Take the conversation of the participant whom this job is for.

    Connects to the room, waits for the participant, takes the lease and loads the session in one
    round trip. Call it before ``agent_session.start``; then ``greet`` after it. The conversation
    ends with the job.

    Args:
        ctx: the job. Its metadata names the participant if our gateway dispatched it; else the
            first participant to come is meant, under the identity of its token.
        agent_session: not started yet.
        store: where sessions are kept.
        settings: the lease's renewal and the turns for the model are read from it.
        room_options: how to listen and speak in the room; whose text and voice are heard, and
            what happens when they leave, is decided here.
        words: what to say to somebody who comes.

    Raises:
        NobodyCame: within 60 s.
        LeaseHeld: another job has this conversation, and keeps it.
        SessionGone, SessionEnded: it was erased or has ended since the dispatch.
        StoreUnavailable, SealBroken, UnknownKey: the session cannot be read.
    """
    await ctx.connect()
    gateway = JobMetadata.parse(ctx.job.metadata)
    try:
        async with asyncio.timeout(WAIT_FOR_PARTICIPANT_S):
            participant = await wait_for_participant(ctx, gateway.participant if gateway else None)
    except TimeoutError:
        raise NobodyCame("the participant did not come to the room") from None
    owner = Owner(
        identity=participant.identity,
        participant=gateway.participant if gateway else store.pseudonym(participant.identity),
        session_id=gateway.session_id if gateway else None,
        metadata=metadata_of(participant),
    )
    load_id = load_id_of(participant)
    joined = await _join(store, settings, owner, load_id)
    return Conversation(
        ctx=ctx,
        agent_session=agent_session,
        store=store,
        settings=settings,
        owner=owner,
        load_id=load_id,
        joined=joined,
        room_options=room_options or RoomOptions(),
        words=words,
    )


async def _join(store: SessionStore, settings: StoreSettings, owner: Owner, load_id: str) -> Joined:
    """Join; where a dead job's lease still runs, wait for its end once."""
    attempt = secrets.token_hex(16)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + 2 * settings.lease_s
    while True:
        try:
            return await store.join(
                owner.participant,
                session_id=owner.session_id,
                exact=owner.session_id is not None,
                load_id=load_id,
                attempt=attempt,
            )
        except LeaseHeld as held:
            if loop.time() > give_up:
                raise
            await asyncio.sleep(min(held.wait_ms / 1000 + 0.01, settings.lease_s))
        except StoreUnavailable:
            if loop.time() > give_up:
                raise
            await asyncio.sleep(settings.lease_renew_s)
