"""The calls of a store that open no seal: claims, deadlines, and what is kept of participants."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from session_store.errors import InvalidValue
from session_store.hooks import Hooks
from session_store.meter import NO_METER
from session_store.sealing.opening import Opener

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from session_store.backends.contract import Backend, SideChannel
    from session_store.backends.values import (
        AgentPresence,
        Consent,
        LiveSweepers,
        SessionRef,
        StoredParticipant,
    )
    from session_store.events import Event, EventHook, SealHook
    from session_store.meter import Meter
    from session_store.sealing.keyring import Keyring
    from session_store.tracing import Tracer

_ID_CHARS: Final = 26


class StoreCalls:
    """The part of ``SessionStore`` that passes on what is not sealed."""

    def __init__(
        self, backend: Backend, keyring: Keyring, *, hooks: Sequence[EventHook] = ()
    ) -> None:
        self._backend = backend
        self.keyring: Final = keyring
        self.meter = NO_METER
        """See ``measure``."""
        self._hooks = Hooks(hooks)
        self._opener = Opener(keyring)

    @property
    def side(self) -> SideChannel:
        """Events, counts by day and the audit stream of this store."""
        return self._backend.side

    def add_hook(self, hook: EventHook) -> None:
        """Tell a hook of this process's events from now on."""
        self._hooks.add(hook)

    def add_seal_hook(self, hook: SealHook) -> None:
        """Tell a hook of records that cannot be opened from now on."""
        self._hooks.add_seal_hook(hook)

    def measure(self, meter: Meter) -> None:
        """Use this meter from now on, in place of the previous one; it also becomes a hook."""
        self.meter = meter
        self._backend.measure(meter)
        if meter is not NO_METER:
            self.add_hook(meter)
            self.add_seal_hook(meter)

    def trace(self, tracer: Tracer | None) -> None:
        """Tell a tracer of each operation in Redis from now on; ``None`` for none."""
        self._backend.trace(tracer)

    def tell(self, events: Iterable[Event]) -> None:
        """Tell the hooks of these events."""
        self._hooks.tell(events)

    async def ping(self) -> None:
        """Reach the backend, or raise ``StoreUnavailable``."""
        await self._backend.ping()

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool = True
    ) -> AgentPresence:
        """Return whether the session has an agent; ``claim`` as ``expect_agent`` in ``open``."""
        wanted = session_id_of(session_id) or ""
        return await self._backend.expect_agent(participant, wanted, claim=claim)

    def owner_of(self, worker_id: str, job_id: str) -> str:
        """Return the ``owner`` under which a job joins; the job's worker can derive it too."""
        return self.keyring.owner_of(worker_id, job_id)

    async def claim_orphan(  # noqa: PLR0913 (most have a default)
        self,
        participant: str,
        session_id: str,
        *,
        owner: str | None = None,
        absent: bool = False,
        idempotency_key: str | None = None,
        room: str = "",
    ) -> AgentPresence:
        """Claim the right to dispatch a successor of a lost job.

        Args:
            participant: the pseudonym.
            session_id: the session that may lack its agent.
            owner: a job that is known to be dead; see ``owner_of``. Its lease is broken even if it
                has not run out. Without it, only a lease that has run out is broken.
            absent: the participant is not there, so that no agent is needed. It counts as having
                left when it was last seen.
            idempotency_key: a repeated claim with the same key gets the same answer.
            room: where the participant waits. If the holder is in another room, which its
                participant has left, even its live lease is broken.

        Returns:
            ``WANTED`` (this caller alone dispatches; the previous job can write no more),
            ``PRESENT`` (a job holds the lease), ``EXPECTED`` (another caller dispatched a moment
            ago), ``GAVE_UP`` (too many agents died in a row), ``ENDED`` or ``GONE``. With
            ``absent`` also ``ABSENT``; then ``WANTED`` only after a recent admission.
        """
        presence, events = await self._backend.claim_orphan(
            participant,
            session_id_of(session_id) or "",
            owner=owner or "",
            idempotency_key=idempotency_key or secrets.token_hex(8),
            absent=absent,
            room=self.mac_of("room", room),
        )
        self.tell(events)
        return presence

    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> None:
        """Give back a claim: no agent was dispatched, and the next caller may dispatch one.

        With ``absent`` the participant is not there. It then counts as having left when it was
        last seen, unless a job holds the lease or it was admitted a moment ago.
        """
        wanted = session_id_of(session_id) or ""
        self.tell(await self._backend.give_back_claim(participant, wanted, absent=absent))

    async def erased_at(self, participant: str) -> int | None:
        """Return when a participant was last erased, in Unix ms of the store; ``None`` if never."""
        return await self._backend.erased_at(participant)

    async def participant(self, participant: str) -> StoredParticipant | None:
        """Read what is kept about a participant besides sessions; ``None`` if unknown."""
        return await self._backend.participant(participant)

    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """Note what a participant agreed to, now; ``None`` if unknown."""
        return await self._backend.set_consent(participant, given=given, version=version)

    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """Set a participant's own retention, or the default; return whether it is known."""
        return await self._backend.set_retention(participant, retention_ms)

    async def sweepers(self, me: str, alive_ms: int) -> LiveSweepers:
        """Note that sweeper ``me`` lives; return those that did so within ``alive_ms``."""
        return await self._backend.sweepers(me, alive_ms)

    async def make_all_due(self, shards: Sequence[int]) -> None:
        """Have sweepers look at every session of these shards: the store's clock was set back."""
        await self._backend.make_all_due(shards)

    async def was_emptied(self, participant: str, mark: str) -> bool:
        """Return whether the store has lost all that it had, and not this participant alone.

        ``mark`` is that of the join. Each shard has one, and no operation removes it.
        """
        return mark != "" and await self._backend.mark(participant) != mark

    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        """Read sessions with a deadline that may have passed, at most ``limit`` of each shard."""
        return await self._backend.due(shards, limit)

    def mac_of(self, kind: str, name: str) -> str:
        """Return a MAC of a name that the backend must not know, such as a room's; "" of none.

        Raises:
            InvalidValue: the name is not valid Unicode.
        """
        try:
            return self.keyring.fingerprint(kind, name) if name else ""
        except UnicodeEncodeError:
            raise InvalidValue(f"the name of a {kind} must be valid Unicode text") from None


def session_id_of(value: str | None) -> str | None:
    """Return a session id that is valid, or ``None``.

    Raises:
        InvalidValue: it is not valid.
    """
    if value is None or (len(value) == _ID_CHARS and value.isascii() and value.isalnum()):
        return value
    raise InvalidValue("a session id has 26 letters and digits")
