"""``persist``: one call that makes a LiveKit agent's conversation survive."""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from livekit.agents.voice.room_io import RoomOptions

from session_store.errors import (
    LeaseHeld,
    SessionEnded,
    SessionGone,
    SessionStoreError,
    StoreRefused,
    StoreUnavailable,
)
from session_store.livekit.job.announce_participant import wait_for_participant
from session_store.livekit.job.conversation import Conversation, Entry
from session_store.livekit.job.greeting import Visit, words_of_welcome
from session_store.livekit.job.liveness import Liveness
from session_store.livekit.job.other_agents import is_another_here
from session_store.livekit.job.participant import JobMetadata, Owner, load_id_of, metadata_of
from session_store.livekit.telemetry.joins import JOINED_AS, failed_as
from session_store.livekit.telemetry.spans import LiveKitTracer
from session_store.models import Place
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.tasks import FIRST_RETRY_S, reason_of
from session_store.writing.offline_start import begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from livekit.agents import AgentSession, JobContext, tts

logger = logging.getLogger(__name__)

WAIT_FOR_PARTICIPANT_S: Final = 60.0
AWAY_AFTER_S: Final = 0.5
"""How long a store that does not answer is waited for, before the conversation begins without."""


class NobodyCame(SessionStoreError):
    """The job was dispatched, but its participant did not come."""


async def persist(  # noqa: PLR0913 (what has a default is seldom given)
    ctx: JobContext,
    agent_session: AgentSession[Any],
    store: SessionStore | None = None,
    settings: StoreSettings | None = None,
    *,
    room_options: RoomOptions | None = None,
    words: Callable[[Visit], str] | None = words_of_welcome,
    spare_voice: tts.TTS[Any] | None = None,
) -> Conversation:
    """Take the conversation of the participant whom this job is for.

    Connects to the room, waits for the participant, takes the lease and loads the session in one
    round trip. Where the store is away, the conversation begins without it, and joins when it is
    back. Call it before ``agent_session.start``; then ``greet`` after it. The conversation
    ends with the job. Where it raises, it has ended the job.

    Args:
        ctx: the job. Its metadata names the participant if our gateway dispatched it; else the
            first participant to come is meant, under the identity of its token.
        agent_session: not started yet.
        store: where sessions are kept. By default, one that the settings name, which is closed
            when the conversation has ended.
        settings: the lease's renewal and the turns for the model are read from it. By default,
            those of the environment.
        room_options: how to listen and speak in the room; whose text and voice are heard, and
            what happens when they leave, is decided here.
        words: what to say to somebody who comes; ``None`` if the agent greets by itself.
        spare_voice: says that a provider has failed, where the agent session has no voice of its
            own (a realtime model has none), or that fails too. A local one, best.

    Raises:
        NobodyCame: within 60 s, or before the room was closed.
        LeaseHeld: another job has this conversation, and keeps it.
        SessionGone, SessionEnded: it was erased or has ended since the dispatch.
        SealBroken, UnknownKey: the session cannot be read.
    """
    settings = settings or StoreSettings()
    async with AsyncExitStack() as at_the_end:
        if store is None:
            store = SessionStore.from_settings(settings)
            at_the_end.push_async_callback(store.aclose)
        store.trace(LiveKitTracer())
        conversation = await _begin(
            ctx,
            agent_session,
            store,
            settings,
            room_options=room_options,
            words=words,
            spare_voice=spare_voice,
        )
        closing = at_the_end.pop_all()

    async def close() -> None:
        await conversation.ended()
        await closing.aclose()

    ctx.add_shutdown_callback(close)
    return conversation


async def _begin(  # noqa: PLR0913 (all that was given)
    ctx: JobContext,
    agent_session: AgentSession[Any],
    store: SessionStore,
    settings: StoreSettings,
    *,
    room_options: RoomOptions | None,
    words: Callable[[Visit], str] | None,
    spare_voice: tts.TTS[Any] | None,
) -> Conversation:
    """Wait for the participant, and take its conversation."""
    await ctx.connect()
    liveness = Liveness(ctx.room, lambda: ctx.shutdown("cut off from LiveKit"))
    # At once: whoever looks at a job that waits for its participant must find it alive.
    liveness.start()
    try:
        who = await _await_owner(ctx, store)
        entry = await _enter_measured(ctx, store, settings, who)
    except BaseException as error:
        liveness.stop()
        if isinstance(error, SessionStoreError):
            # LiveKit leaves a job whose entry point has failed in its room, mute.
            ctx.shutdown("there is no conversation to hold")
        raise
    liveness.here()
    return Conversation(
        ctx=ctx,
        agent_session=agent_session,
        store=store,
        settings=settings,
        entry=entry,
        liveness=liveness,
        room_options=room_options or RoomOptions(),
        words=words,
        spare_voice=spare_voice,
    )


async def _await_owner(ctx: JobContext, store: SessionStore) -> tuple[Owner, str]:
    """Wait for the participant; return who that is, and the load id of the arrival."""
    gateway = JobMetadata.parse(ctx.job.metadata)
    try:
        async with asyncio.timeout(WAIT_FOR_PARTICIPANT_S):
            participant = await wait_for_participant(ctx, gateway.participant if gateway else None)
    except TimeoutError:
        raise NobodyCame("the participant did not come to the room") from None
    except RuntimeError:
        # So says the SDK where the room has been closed.
        raise NobodyCame("the room was closed before the participant came") from None
    owner = Owner(
        identity=participant.identity,
        participant=gateway.participant if gateway else store.pseudonym(participant.identity),
        session_id=gateway.session_id if gateway else None,
        metadata=metadata_of(participant),
        admitted_at_ms=gateway.admitted_at_ms if gateway else 0,
    )
    return owner, load_id_of(participant)


async def _enter_measured(
    ctx: JobContext, store: SessionStore, settings: StoreSettings, who: tuple[Owner, str]
) -> Entry:
    try:
        entry = await _enter(ctx, store, settings, who)
    except SessionStoreError as error:
        store.meter.joined(failed_as(error))
        raise
    if entry.beginning is None:
        store.meter.joined(JOINED_AS[entry.joined.outcome])
    else:
        store.meter.joined("begun_without_store")
    return entry


async def _enter(
    ctx: JobContext, store: SessionStore, settings: StoreSettings, who: tuple[Owner, str]
) -> Entry:
    """Join; where a dead job's lease still runs, wait for its end once.

    Where the store is away, begin without it: the participant is here, and wants to talk.
    """
    owner, load_id = who
    place = None
    if owner.session_id is None:
        place = Place(room=ctx.room.name, agent_name=ctx.job.agent_name, metadata=ctx.job.metadata)
    # By its name the worker's main process knows the lease of a job that died.
    lease_owner = (
        secrets.token_hex(16) if ctx.is_fake_job() else store.owner_of(ctx.worker_id, ctx.job.id)
    )
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        try:
            joined = await store.join(
                owner.participant,
                session_id=owner.session_id,
                exact=owner.session_id is not None,
                load_id=load_id,
                owner=lease_owner,
            )
        except LeaseHeld as held:
            if loop.time() - begun > 2 * settings.lease_s:
                raise
            await asyncio.sleep(min(held.wait_ms / 1000 + 0.01, settings.lease_s))
        except (StoreUnavailable, StoreRefused, SessionGone, SessionEnded) as error:
            # Whom the gateway let in without the store has a session when this job has made it.
            is_made_late = isinstance(error, SessionGone | SessionEnded)
            if is_made_late and not owner.admitted_at_ms:
                raise
            if is_made_late or loop.time() - begun > AWAY_AFTER_S:
                if await is_another_here(ctx.room):
                    raise LeaseHeld(owner.session_id or "", 0) from None
                logger.warning("beginning without the store", extra={"reason": reason_of(error)})
                beginning, joined = begin(
                    store,
                    owner.participant,
                    owner.session_id,
                    lease_owner,
                    begun_ms=owner.admitted_at_ms or None,
                )
                return Entry(owner, load_id, lease_owner, joined, begun, beginning, place)
            await asyncio.sleep(FIRST_RETRY_S)
        else:
            return Entry(owner, load_id, lease_owner, joined, begun, place=place)
