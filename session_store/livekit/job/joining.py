"""The join of a job; or a beginning without the store, if the store is unreachable."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from session_store.errors import (
    LeaseHeld,
    SealBroken,
    SessionEnded,
    SessionGone,
    StoreRefused,
    StoreUnavailable,
    UnknownKey,
    UnknownSchema,
)
from session_store.livekit.job.entry import Entry
from session_store.livekit.job.lease_wait import LeaseWait
from session_store.livekit.job.other_agents import is_another_here
from session_store.livekit.rooms.dispatch import Dispatch
from session_store.tasks import FIRST_RETRY_S, reason_of
from session_store.writing.offline_start import begin

if TYPE_CHECKING:
    from session_store.errors import SessionStoreError
    from session_store.livekit.job.conversation_setup import Setup
    from session_store.livekit.job.participant import Coming, JobParticipant
    from session_store.values import Joined
    from session_store.writing.offline_start import OfflineStart

logger = logging.getLogger(__name__)

AWAY_AFTER_S: Final = 0.5
"""How long a job waits for an unreachable store before its conversation begins without it."""


async def join_or_begin(
    setup: Setup, participant: JobParticipant, coming: Coming, lease_owner: str
) -> Entry:
    """Join; if another job's lease still runs, wait for its end.

    If the store is unreachable, begin without it: the participant is here, and wants to talk.

    Args:
        setup: of the conversation.
        participant: the participant of the conversation.
        coming: the participant's arrival.
        lease_owner: the nonce for the lease.

    Raises:
        LeaseHeld: another job has this conversation, and keeps it.
        SessionGone, SessionEnded: as for ``SessionStore.join``.
        SealBroken, UnknownKey, UnknownSchema: the gateway has opened this very session, and it
            does not open any more.
    """
    return await _Joining(setup, participant, coming, lease_owner).run()


class _Joining:
    def __init__(
        self, setup: Setup, participant: JobParticipant, coming: Coming, lease_owner: str
    ) -> None:
        self._setup = setup
        self._participant = participant
        self._coming = coming
        self._place = Dispatch.of_job(setup.ctx.job).place(participant.identity, participant.call)
        self._lease_owner = lease_owner
        self._begun = asyncio.get_running_loop().time()

    async def run(self) -> Entry:
        wait = LeaseWait(self._setup.settings.lease_s)
        while True:
            try:
                joined = await self._join()
            except LeaseHeld as held:
                await wait.pause(held)
            except (SealBroken, UnknownKey, UnknownSchema) as error:
                return await self._begin_another(error)
            except (StoreUnavailable, StoreRefused, SessionGone, SessionEnded) as error:
                if self._may_begin(error):
                    return await self._begin(error)
                await asyncio.sleep(FIRST_RETRY_S)
            else:
                return self._entry(joined)

    async def _join(self, exactly: str | None = None) -> Joined:
        opened = exactly or self._participant.session_id
        return await self._setup.store.join(
            self._participant.pseudonym,
            session_id=opened or self._participant.expected_session_id,
            exact=opened is not None,
            load_id=self._coming.load_id,
            owner=self._lease_owner,
            room=self._place.room,
            came_ms=self._coming.came_ms,
            scope=self._setup.scope,
        )

    async def _begin_another(self, error: SealBroken | UnknownKey | UnknownSchema) -> Entry:
        """Begin another session, since this one cannot be opened, now or later.

        It stays as it is, for an operator. If not even the participant's data key can be opened,
        nothing about the participant can be saved: the conversation begins without the store.

        Raises:
            SealBroken, UnknownKey, UnknownSchema: the gateway has opened this very session; its
                page offers another one.
            LeaseHeld: another agent is here.
        """
        participant = self._participant
        if participant.session_id is not None:
            raise error
        self._setup.store.meter.joined("unreadable")
        extra = {"reason": str(error)}
        logger.error("a session does not open: beginning another one", extra=extra)
        try:
            opened = await self._setup.store.open_new(
                participant.pseudonym, scope=self._setup.scope
            )
            return self._entry(await self._join(exactly=opened.session.id))
        except (SealBroken, UnknownKey, StoreUnavailable, StoreRefused) as problem:
            return await self._begin(problem)

    def _may_begin(self, error: SessionStoreError) -> bool:
        """Return whether to begin without the store now; False to try again.

        Raises:
            SessionGone, SessionEnded: the session is not there, although the gateway opened it.
        """
        if isinstance(error, SessionGone | SessionEnded):
            # A gateway that could not reach the store leaves it to this job to make the session.
            if not self._participant.admitted_at_ms:
                raise error
            return True
        return asyncio.get_running_loop().time() - self._begun > AWAY_AFTER_S

    async def _begin(self, error: SessionStoreError) -> Entry:
        participant = self._participant
        if await is_another_here(self._setup.ctx.room):
            raise LeaseHeld(participant.session_id or "", 0) from None
        logger.warning("beginning without the store", extra={"reason": reason_of(error)})
        offline_start, joined = begin(
            self._setup.store,
            participant.pseudonym,
            participant.session_id,
            self._lease_owner,
            begun_ms=participant.admitted_at_ms or None,
            scope=self._setup.scope,
        )
        return self._entry(joined, offline_start)

    def _entry(self, joined: Joined, offline_start: OfflineStart | None = None) -> Entry:
        return Entry(
            self._participant,
            self._coming,
            self._lease_owner,
            joined,
            self._begun,
            self._place,
            offline_start,
        )
