"""The part of a ``MemoryBackend`` that is about participants, sweepers and wrapped keys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from typing_extensions import override

from session_store.backends.contract import Backend
from session_store.backends.memory.operation import Operation
from session_store.backends.memory.records import Memory, Rules, is_ahead
from session_store.backends.memory.side import MemorySide
from session_store.backends.values import Consent, LiveSweepers, StoredParticipant
from session_store.keys import shard_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_store.events import Event
    from session_store.sealing.data_key import WrappedKey
    from session_store.settings import StoreSettings


def unix_ms() -> int:
    """Return the clock of this machine."""
    return time.time_ns() // 1_000_000


class MemoryPeople(Backend):
    """The operations around sessions."""

    def __init__(
        self,
        settings: StoreSettings,
        *,
        clock: Callable[[], int] = unix_ms,
        memory: Memory | None = None,
        side: MemorySide | None = None,
    ) -> None:
        """Begin empty, or share the memory and the side channel of another backend.

        ``clock`` returns Unix milliseconds.
        """
        self._rules = Rules.of(settings)
        self._clock = clock
        self.memory = Memory() if memory is None else memory
        self._side = MemorySide(clock) if side is None else side

    @override
    async def participant(self, participant: str) -> StoredParticipant | None:
        person = self._begin(participant).person
        if person is None:
            return None
        return StoredParticipant(
            person.wrapped, person.created, person.consent, person.retention_ms
        )

    @override
    async def erased_at(self, participant: str) -> int | None:
        return self.memory.erased_at(participant, self._begin(participant).now)

    @override
    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        op = self._begin(participant)
        if op.person is None:
            return None
        op.person.consent = Consent(given, version, op.now)
        op.touch()
        return op.person.consent

    @override
    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        op = self._begin(participant)
        if op.person is None:
            return False
        op.person.retention_ms = retention_ms
        for record in op.person.sessions.values():
            record.keep_ms = retention_ms
            op.look_by(record, op.now)  # Its deadline may have come nearer.
        op.touch(*op.person.sessions.values())
        return True

    @override
    async def sweepers(self, me: str, alive_ms: int) -> LiveSweepers:
        now = self._clock()
        ahead = [name for name, at in self.memory.sweepers.items() if is_ahead(at, now)]
        for name in ahead:
            del self.memory.sweepers[name]
        self.memory.sweepers[me] = now
        for name, reported_at in list(self.memory.sweepers.items()):
            if reported_at <= now - alive_ms:
                del self.memory.sweepers[name]
        return LiveSweepers(sorted(self.memory.sweepers), now, was_set_back=bool(ahead))

    @override
    async def make_all_due(self, shards: Sequence[int]) -> None:
        now, wanted = self._clock(), set(shards)
        for name in self.memory.due:
            if shard_of(name.participant) in wanted:
                self.memory.due[name] = now

    @override
    async def mark(self, participant: str) -> str | None:
        shard_of(participant)  # Raises if it is not a pseudonym.
        return self.memory.mark

    @override
    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        now, wanted = self._clock(), set(shards)
        return [
            participant
            for participant in list(self.memory.people)
            if shard_of(participant) in wanted
            and (person := self.memory.person(participant, now)) is not None
            and person.wrapped.kek_id == kek_id
        ]

    @override
    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        person = self._begin(participant).person
        if person is None or person.wrapped != before:
            return False
        person.wrapped = after._replace(data_key_id=before.data_key_id)
        return True

    @override
    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        return False  # No entry is ever stale here.

    @override
    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        self.memory.checks = {**mine, **self.memory.checks}
        return dict(self.memory.checks)

    def _begin(self, participant: str) -> Operation:
        return Operation(self.memory, self._rules, participant, self._clock())

    def _told(self, op: Operation) -> Sequence[Event]:
        self._side.publish(op.events)
        return tuple(op.events)
