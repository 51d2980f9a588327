"""The part of a ``MemoryBackend`` that is about participants and processes, not sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from session_store.backends.memory.operation import Operation
from session_store.backends.memory.records import Memory, Rules
from session_store.backends.memory.side import MemorySide
from session_store.backends.values import Consent, StoredParticipant
from session_store.keys import ParticipantKeys, shard_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_store.events import Event
    from session_store.meter import Meter
    from session_store.sealing.crypto import WrappedKey
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer


def unix_ms() -> int:
    """Return the time of this machine."""
    return time.time_ns() // 1_000_000


class PeopleInMemory:
    """What is kept of participants, and the keys that wrap theirs."""

    def __init__(
        self,
        settings: StoreSettings,
        *,
        clock: Callable[[], int] = unix_ms,
        memory: Memory | None = None,
        side: MemorySide | None = None,
    ) -> None:
        """Begin empty, or with the memory (and side) of another backend, which is then shared.

        ``clock`` gives Unix milliseconds.
        """
        self._rules = Rules.of(settings)
        self._clock = clock
        self.memory = Memory() if memory is None else memory
        self._side = MemorySide(clock) if side is None else side

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Make an empty one."""
        return cls(settings)

    @property
    def side(self) -> MemorySide:
        """See ``Backend.side``."""
        return self._side

    def measure(self, meter: Meter) -> None:
        """See ``Backend.measure``. There is nothing to measure here."""

    def trace(self, tracer: Tracer | None) -> None:
        """See ``Backend.trace``. There is nothing to trace here."""

    async def participant(self, participant: str) -> StoredParticipant | None:
        """See ``Backend.participant``."""
        person = self._begin(participant).person
        if person is None:
            return None
        return StoredParticipant(
            person.wrapped, person.created, person.consent, person.retention_ms
        )

    async def erased_at(self, participant: str) -> int | None:
        """See ``Backend.erased_at``."""
        return self.memory.erased_at(participant, self._begin(participant).now)

    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """See ``Backend.set_consent``."""
        op = self._begin(participant)
        if op.person is None:
            return None
        op.person.consent = Consent(given, version, op.now)
        op.touch()
        return op.person.consent

    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """See ``Backend.set_retention``."""
        op = self._begin(participant)
        if op.person is None:
            return False
        op.person.retention_ms = retention_ms
        for record in op.person.sessions.values():
            record.keep_ms = retention_ms
            op.look_by(record, op.now)  # Its deadline may have come nearer.
        op.touch(*op.person.sessions.values())
        return True

    async def sweepers(self, me: str, alive_ms: int) -> Sequence[str]:
        """See ``Backend.sweepers``."""
        now = self._clock()
        self.memory.sweepers[me] = now
        for name, heard in list(self.memory.sweepers.items()):
            if heard <= now - alive_ms:
                del self.memory.sweepers[name]
        return sorted(self.memory.sweepers)

    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        """See ``Backend.wrapped_by``."""
        now = self._clock()
        prefixes = {shard_prefix(shard) for shard in shards}
        return [
            participant
            for participant in list(self.memory.people)
            if ParticipantKeys.of(participant).prefix in prefixes
            and (person := self.memory.person(participant, now)) is not None
            and person.wrapped.kek_id == kek_id
        ]

    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        """See ``Backend.rewrap``."""
        person = self._begin(participant).person
        if person is None or person.wrapped != before:
            return False
        person.wrapped = after._replace(data_key_id=before.data_key_id)
        return True

    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:  # noqa: ARG002
        """See ``Backend.forget_wrapped``; here no entry is ever stale."""
        return False

    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See ``Backend.check_values``."""
        self.memory.checks = {**mine, **self.memory.checks}
        return dict(self.memory.checks)

    async def ping(self) -> None:
        """See ``Backend.ping``: it is always there."""

    async def aclose(self) -> None:
        """See ``Backend.aclose``: there is nothing to close."""

    def _begin(self, participant: str) -> Operation:
        return Operation(self.memory, self._rules, participant, self._clock())

    def _told(self, op: Operation) -> Sequence[Event]:
        self._side.publish(op.events)
        return tuple(op.events)
