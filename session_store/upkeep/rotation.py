"""Rotation of key-encryption keys, while conversations go on.

1. Add the new key to the keyring of every process, but not as the primary key.
2. Make it the primary key in every process. From then on it wraps new data keys.
3. Run ``rotate_keys``: it wraps all data keys with the primary key. The data keys themselves do not
   change, so sealed records open as before, and every cache stays valid.
4. Remove the keys from the keyring that the report calls removable. Backups may still hold data
   keys wrapped with them: keep these keys for as long as those backups.

An interrupted rotation can be run again. Two may run at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from session_store.errors import InvalidValue, SealBroken, UnknownKey, UnknownSchema
from session_store.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from session_store.backends.contract import Backend
    from session_store.sealing.keyring import Keyring

QUIET_PASSES: Final = 2
"""A key is done after this many passes in a row that found no data key wrapped with it."""
MAX_PASSES: Final = 20
"""More passes help only if a process still uses the old key: then it is not removable."""
PARTICIPANTS_AT_ONCE: Final = 64

_SHARD_BATCHES: Final = tuple(range(first, first + 64) for first in range(0, SHARDS, 64))
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """What happened to the data keys that one old key wrapped."""

    key_id: str
    rewrapped: int = 0
    stale: int = 0
    """Removed entries: the participant is gone, or another key wraps its data key already."""
    broken: tuple[str, ...] = ()
    """Participants with a data key that this key does not open; left as they are."""
    passes: int = 0
    removable: bool = False
    """Whether the store no longer needs this key."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation did."""

    primary: str
    keys: tuple[KeyRotation, ...]
    """One for each key of the keyring but the primary."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Participants by the id of a missing key: it wraps their data key, and is not in the keyring.
    Put it back to read them."""

    @property
    def rewrapped(self) -> int:
        """How many data keys were wrapped again."""
        return sum(key.rewrapped for key in self.keys)

    @property
    def stale(self) -> int:
        """How many stale entries were removed."""
        return sum(key.stale for key in self.keys)

    @property
    def broken(self) -> tuple[str, ...]:
        """Participants with a data key that cannot be opened."""
        return tuple(sorted({participant for key in self.keys for participant in key.broken}))

    @property
    def removable(self) -> tuple[str, ...]:
        """Keys that you may remove from the keyring now."""
        return tuple(key.key_id for key in self.keys if key.removable)


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """The progress of a rotation."""

    key_id: str
    number: int
    """Number of the pass over all shards, from 1."""
    shards_done: int
    rewrapped: int
    """Data keys of this key that were wrapped again so far."""


async def rotate_keys(
    backend: Backend,
    keyring: Keyring,
    *,
    progress: Callable[[RotationProgress], None] | None = None,
) -> RotationReport:
    """Wrap all data keys of the keyring's other keys with the primary key.

    Args:
        backend: what holds the wrapped keys; ``session_store.backends.choice.backend_of`` makes
            it.
        keyring: holds the primary key, and the older ones.
        progress: is told how far the rotation is, after each few shards.

    Raises:
        StoreUnavailable, StoreRefused: the work so far is kept; run it again.
    """
    primary = keyring.primary
    keys = [
        await _Rotation(backend, keyring, key_id, progress).run()
        for key_id in keyring.ids
        if key_id != primary
    ]
    return RotationReport(primary, tuple(keys), await _unknown(backend, keyring))


class _Rotation:
    """Passes over all shards, until two find nothing more to do."""

    def __init__(
        self,
        backend: Backend,
        keyring: Keyring,
        key_id: str,
        progress: Callable[[RotationProgress], None] | None,
    ) -> None:
        self._backend = backend
        self._keyring = keyring
        self._key_id = key_id
        self._progress = progress
        self._rewrapped = 0
        self._stale = 0
        self._broken: set[str] = set()

    async def run(self) -> KeyRotation:
        passes = quiet = 0
        while quiet < QUIET_PASSES and passes < MAX_PASSES:
            passes += 1
            self._broken = set()
            quiet = 0 if await self._pass(passes) else quiet + 1
        return KeyRotation(
            self._key_id,
            rewrapped=self._rewrapped,
            stale=self._stale,
            broken=tuple(sorted(self._broken)),
            passes=passes,
            removable=quiet >= QUIET_PASSES and not self._broken,
        )

    async def _pass(self, number: int) -> bool:
        """Go over all shards once; return whether there was an entry that is not broken."""
        found = False
        for shards in _SHARD_BATCHES:
            listed = await self._backend.wrapped_by(self._key_id, shards)
            found |= True in await _all(self._rewrap, listed)
            if self._progress is not None:
                self._progress(RotationProgress(self._key_id, number, shards.stop, self._rewrapped))
        return found

    async def _rewrap(self, participant: str) -> bool:
        """Wrap one data key again; return whether this key's list has changed."""
        backend = self._backend
        try:
            stored = await backend.participant(participant)
        except (SealBroken, InvalidValue):
            self._broken.add(participant)
            return False
        if stored is None or stored.wrapped.kek_id != self._key_id:
            if await backend.forget_wrapped(participant, self._key_id):
                self._stale += 1
            return True
        try:
            anew = self._keyring.rewrap(participant, stored.wrapped)
        except (SealBroken, UnknownKey, UnknownSchema):
            self._broken.add(participant)
            return False
        if await backend.rewrap(participant, stored.wrapped, anew):
            self._rewrapped += 1
        return True


async def _unknown(backend: Backend, keyring: Keyring) -> dict[str, tuple[str, ...]]:
    """Find data keys wrapped with keys that were removed too early.

    Each key that was ever used has left a check value with its id.
    """

    async def wrapped_by(participant: str) -> str:
        try:
            stored = await backend.participant(participant)
        except (SealBroken, InvalidValue):
            return ""
        return "" if stored is None else stored.wrapped.kek_id

    unknown = {}
    for name in await backend.check_values({}):
        kind, _, key_id = name.partition(":")
        if kind != "kek" or key_id in keyring.ids:
            continue
        lost: list[str] = []
        for shards in _SHARD_BATCHES:
            listed = await backend.wrapped_by(key_id, shards)
            holders = await _all(wrapped_by, listed)
            lost += [
                participant
                for participant, holder in zip(listed, holders, strict=True)
                if holder == key_id
            ]
        if lost:
            unknown[key_id] = tuple(sorted(lost))
    return unknown


async def _all(
    work: Callable[[str], Awaitable[_Answer]], participants: Sequence[str]
) -> list[_Answer]:
    """Do the work for all, some at a time; an error is raised after its batch is done."""
    answers: list[_Answer] = []
    for first in range(0, len(participants), PARTICIPANTS_AT_ONCE):
        batch = participants[first : first + PARTICIPANTS_AT_ONCE]
        for answer in await asyncio.gather(*map(work, batch), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
    return answers
