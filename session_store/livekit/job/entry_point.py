"""``persist``: one call that makes a LiveKit agent's conversation survive."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakSet

from livekit.agents.voice.room_io import RoomOptions

from session_store.errors import SessionStoreError
from session_store.livekit.job.announce_participant import wait_for_participant
from session_store.livekit.job.conversation import Conversation
from session_store.livekit.job.conversation_setup import Setup
from session_store.livekit.job.job_exit import JobExit
from session_store.livekit.job.joining import join_or_begin
from session_store.livekit.job.kept_state import KeptState
from session_store.livekit.job.liveness import Liveness
from session_store.livekit.job.participant import (
    JobParticipant,
    coming_of,
    metadata_of,
    name_and_call,
)
from session_store.livekit.job.pass_through import PassThrough
from session_store.livekit.job.room_mark import mark_room
from session_store.livekit.job.roomless import (
    RoomlessConversation,
    RoomlessJob,
    store_of_this_loop,
)
from session_store.livekit.job.state_shape import StateError, StateShape
from session_store.livekit.rooms.anonymous import is_the_one
from session_store.livekit.rooms.dispatch import Dispatch, Errand
from session_store.livekit.telemetry.conversation_metrics import JOINED_AS, failed_as
from session_store.livekit.telemetry.spans import LiveKitTracer
from session_store.meter import NO_METER
from session_store.redis_address import Kind
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.tasks import KeptTasks
from session_store.upkeep.observers import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from livekit import rtc
    from livekit.agents import AgentSession, JobContext, tts

    from session_store.livekit.job.active_agent import AgentOrMaker
    from session_store.livekit.job.conversation_setup import WhenAgentEnds
    from session_store.livekit.job.entry import Entry
    from session_store.livekit.job.greeting import Visit
    from session_store.livekit.job.kept_state import Migrate
    from session_store.livekit.job.participant import Coming, NamedBy
    from session_store.meter import Meter

    _Maker = Callable[[Setup, Entry, Liveness], Conversation]

logger = logging.getLogger(__name__)

WAIT_FOR_PARTICIPANT_S: Final = 60.0


_PERSISTED: Final[WeakSet[JobContext]] = WeakSet()
"""The jobs that have a conversation, or want one."""


class PersistedTwice(SessionStoreError):
    """One job asked for two conversations."""


class NobodyCame(SessionStoreError):
    """The job was dispatched, but its participant did not come."""


async def persist(  # noqa: PLR0913 (most have a default)
    ctx: JobContext,
    agent_session: AgentSession[Any],
    store: SessionStore | None = None,
    settings: StoreSettings | None = None,
    *,
    room_options: RoomOptions | None = None,
    words: Callable[[Visit], str] | None = None,
    spare_voice: tts.TTS[Any] | None = None,
    when_agent_ends: WhenAgentEnds = "finish",
    scope: str | None = None,
    identity: NamedBy | None = None,
    agents: Sequence[AgentOrMaker] = (),
    state: type[Any] | None = None,
    state_without: Collection[str] = (),
    migrate: Migrate | None = None,
    meter: Meter = NO_METER,
) -> Conversation:
    """Take the conversation of the participant whom this job is for.

    Connects to the room, waits for the participant, takes the lease and loads the session in one
    round trip. If the store is unreachable, the conversation begins without it, and joins when it
    is back. Call it before ``agent_session.start``, and ``greet`` after it. The conversation ends
    with the job. If this raises, it has ended the job, except for the second call in one job.

    In a job without a room (LiveKit's console, its test helpers), and with ``REJOIN_ENABLED=0``,
    nothing is kept: the conversation that this returns lets LiveKit do what it does without us.
    With ``REJOIN_REDIS_URL=memory://`` a job without a room keeps its conversation in this process.

    Args:
        ctx: the job. Its metadata names the participant if the gateway dispatched it. Else the job
            is for the first participant who comes, under the identity of its token.
        agent_session: not started yet.
        store: where sessions are kept. By default, a store that the settings name, with daily
            counts and an audit of broken seals. It is closed when the conversation has ended.
        settings: how often the lease is renewed, how many turns the model is given, and where the
            spool is. By default, the settings of the environment.
        room_options: how to listen and speak in the room. This library decides which participant
            is heard, and what happens when that one leaves.
        words: returns what to say to a participant who comes. By default nothing is added to what
            the agent itself says.
        spare_voice: says that a provider has failed, if the agent session's own voice fails or is
            missing (a realtime model has none). Best a local one.
        when_agent_ends: what becomes of the conversation when the program ends it: by
            ``agent_session.shutdown()`` or ``aclose()``, ``EndCallTool``, ``ctx.shutdown()`` or the
            deletion of the room, while the participant is there. ``"finish"``: it is over, and the
            next call begins a new one. ``"keep"``: the next call within the resume window goes on
            with it. No successor is sent in either case.
        scope: what one participant's conversations are kept apart by. By default the name of the
            agent, so that sales and support have one each. Agents that give the same scope share
            a conversation. Erasure, retention and the data key are the participant's.
        identity: names the participant for the store, in place of the identity of its token: a
            name, or a function of LiveKit's participant. ``None``, an empty name, and one that is
            known to be anonymous (``sip_anonymous``) mean that this participant begins anew, and
            that no other call continues this conversation. A participant whom the gateway named
            keeps that name.
        agents: all agents that may be active, or their classes, the one that begins first. Then
            ``resume()`` takes none, and returns the one that was active when the job before ended.
        state: the class of what the program works on: a dataclass, a pydantic model or ``dict``. It
            is the agent session's ``userdata``, and is made here if the program made no object. A
            successor gets it as it was when the last item of the record was written, in the same
            object, before this returns. At most 64 KiB.
        state_without: fields of it that are not kept, such as connections.
        migrate: returns kept fields, as JSON has them, in the shape that the class has today.
            Called before each state that is loaded.
        meter: measures a store that is made by default. A given store keeps its own.

    Raises:
        PersistedTwice: in one job. The conversation of the first call goes on.
        StateError: ``state`` cannot be written down. The message names the field.
        NobodyCame: within 60 s, or before the room was closed.
        LeaseHeld: another job has this conversation, and keeps it.
        SessionGone, SessionEnded: it was erased or has ended since the dispatch.
        SealBroken, UnknownKey: the session cannot be read.
    """
    settings = settings or StoreSettings()
    if (why := _why_nothing_is_kept(ctx, settings)) is not None:
        return PassThrough(
            ctx,
            agent_session,
            _state_of(agent_session, state, state_without, migrate),
            agents=agents,
            room_options=room_options,
            words=words,
            why=why,
        )
    if ctx in _PERSISTED:
        raise PersistedTwice(
            "persist was called twice in this job: a job has one conversation, of one participant"
        )
    _PERSISTED.add(ctx)
    roomless = RoomlessJob(ctx) if ctx.is_fake_job() else None
    if roomless is not None:
        ctx = cast("JobContext", roomless)
        store = store or store_of_this_loop(settings)
    job_exit = JobExit(ctx)
    try:
        kept_state = _state_of(agent_session, state, state_without, migrate)
    except StateError:
        job_exit.leave("its state cannot be kept")
        raise
    async with AsyncExitStack() as at_the_end:
        if store is None:
            store = SessionStore.from_settings(settings)
            at_the_end.push_async_callback(store.aclose)
            await at_the_end.enter_async_context(watched(store, actor="agent", meter=meter))
        store.trace(LiveKitTracer())
        conversation = await _begin(
            Setup(
                ctx,
                agent_session,
                store,
                settings,
                room_options or RoomOptions(),
                words,
                spare_voice,
                job_exit,
                kept_state,
                when_agent_ends,
                ctx.job.agent_name if scope is None else scope,
                identity,
                agents,
            ),
            _maker(roomless, room_options),
        )
        marking = KeptTasks(logger)
        marking.spawn(mark_room(ctx, store, settings))
        at_the_end.push_async_callback(marking.aclose)
        closing = at_the_end.pop_all()

    async def close() -> None:
        await conversation.ended()
        await closing.aclose()

    ctx.add_shutdown_callback(close)
    return conversation


def _state_of(
    agent_session: AgentSession[Any],
    kind: type[Any] | None,
    without: Collection[str],
    migrate: Migrate | None,
) -> KeptState:
    shape = None if kind is None else StateShape.of(kind, without)
    return KeptState(agent_session, shape, migrate)


def _why_nothing_is_kept(ctx: JobContext, settings: StoreSettings) -> str | None:
    if not settings.enabled:
        return "REJOIN_ENABLED is off"
    if ctx.is_fake_job() and settings.redis_address.kind is not Kind.MEMORY:
        return "this job has no room"
    return None


def _maker(roomless: RoomlessJob | None, room_options: RoomOptions | None) -> _Maker:
    if roomless is None:
        return Conversation
    return partial(RoomlessConversation, job=roomless, room_options=room_options)


async def _begin(setup: Setup, make: _Maker) -> Conversation:
    """Wait for the participant, and take its conversation."""
    ctx = setup.ctx
    await ctx.connect()
    liveness = Liveness(ctx.room, lambda: setup.job_exit.leave("cut off from LiveKit"))
    # At once: a job that waits for its participant must look alive to the watchers.
    liveness.start()
    try:
        participant, coming = await _wait_for_participant(setup)
        entry = await _enter(setup, participant, coming)
    except BaseException as error:
        liveness.stop()
        if isinstance(error, SessionStoreError):
            # LiveKit leaves a job whose entry point has failed in its room, mute.
            setup.job_exit.leave("there is no conversation to hold")
        raise
    liveness.here()
    return make(setup, entry, liveness)


async def _wait_for_participant(setup: Setup) -> tuple[JobParticipant, Coming]:
    """Wait for the participant; return it, and its arrival."""
    ctx = setup.ctx
    errand = Errand.of(Dispatch.of_job(ctx.job))
    try:
        async with asyncio.timeout(WAIT_FOR_PARTICIPANT_S):
            seen = await wait_for_participant(ctx, errand.identity if errand else None)
    except TimeoutError:
        raise NobodyCame("the participant did not come to the room") from None
    except RuntimeError:
        # The SDK raises it if the room is closed.
        raise NobodyCame("the room was closed before the participant came") from None
    return _participant(setup, seen, errand), coming_of(seen)


def _participant(
    setup: Setup, seen: rtc.RemoteParticipant, errand: Errand | None
) -> JobParticipant:
    """Name the participant for the store."""
    # Another caller may have come meanwhile, if many have this identity.
    if errand is not None and is_the_one(
        seen.identity, seen.attributes, served=errand.identity, served_call=errand.call
    ):
        return JobParticipant(
            identity=seen.identity,
            pseudonym=errand.participant,
            session_id=errand.session_id if errand.is_opened else None,
            metadata=metadata_of(seen),
            admitted_at_ms=errand.admitted_at_ms,
            expected_session_id=errand.session_id,
            call=errand.call,
        )
    name, call = name_and_call(seen, setup.identity, setup.ctx.job.room.sid)
    return JobParticipant(
        identity=seen.identity,
        pseudonym=setup.store.pseudonym(name),
        session_id=None,
        metadata=metadata_of(seen),
        name=name,
        call=call,
    )


async def _enter(setup: Setup, participant: JobParticipant, coming: Coming) -> Entry:
    """Join or begin, and count how that ended."""
    meter = setup.store.meter
    try:
        entry = await join_or_begin(setup, participant, coming, _lease_owner(setup))
    except SessionStoreError as error:
        meter.joined(failed_as(error))
        raise
    is_joined = entry.offline_start is None
    meter.joined(JOINED_AS[entry.joined.outcome] if is_joined else "begun_without_store")
    return entry


def _lease_owner(setup: Setup) -> str:
    """Return the nonce for the lease. By it the worker knows the lease of a job that died."""
    ctx = setup.ctx
    return setup.store.owner_of(ctx.worker_id, ctx.job.id)
