"""Rotation of key-encryption keys, while conversations go on.

1. Add the new key to the keyring of every process, as one that is not primary.
2. Name it primary, in every process: new data keys are wrapped by it from then on.
3. ``rotate_keys``: data keys that older keys wrap are wrapped anew. Nothing else is touched: a
   data key stays what it is, so what it sealed opens as before, and nobody's cache goes stale.
4. Remove from the keyring what the report calls removable. Backups still hold data keys wrapped
   by it: destroy it for good only when those are gone, and then they open no more.

Interrupted, it is run again; it may run twice at once.
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
    from session_store.sealing.crypto import Keyring

QUIET_PASSES: Final = 2
"""A key is done when so many passes in a row have found nothing that it wraps."""
MAX_PASSES: Final = 20
"""More are needed only where a process still wraps by the old key: then it is not removable."""
PARTICIPANTS_AT_ONCE: Final = 64

_SHARD_BATCHES: Final = tuple(range(first, first + 64) for first in range(0, SHARDS, 64))
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """What became of the data keys that one old key wrapped."""

    key_id: str
    rewrapped: int = 0
    stale: int = 0
    """Entries of participants that are gone, or wrapped by another key already; removed."""
    broken: tuple[str, ...] = ()
    """Participants whose wrapped data key does not open with this key; left as they are."""
    passes: int = 0
    removable: bool = False
    """Whether no data key in the store needs this key any more."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation came to."""

    primary: str
    keys: tuple[KeyRotation, ...]
    """One for each key of the keyring that is not the primary."""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Participants whose data key is wrapped by a key that the keyring lacks, by its id: they
    cannot be read until it is put back."""

    @property
    def rewrapped(self) -> int:
        """How many data keys were wrapped anew."""
        return sum(key.rewrapped for key in self.keys)

    @property
    def stale(self) -> int:
        """How many stale entries were removed."""
        return sum(key.stale for key in self.keys)

    @property
    def broken(self) -> tuple[str, ...]:
        """Participants whose data key does not open."""
        return tuple(sorted({each for key in self.keys for each in key.broken}))

    @property
    def removable(self) -> tuple[str, ...]:
        """Keys that may be taken out of the keyring now."""
        return tuple(key.key_id for key in self.keys if key.removable)


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """How far a rotation is."""

    key_id: str
    number: int
    """Of the pass over all shards, from 1."""
    shards_done: int
    rewrapped: int
    """Since the beginning, of this key."""


async def rotate_keys(
    backend: Backend,
    keyring: Keyring,
    *,
    progress: Callable[[RotationProgress], None] | None = None,
) -> RotationReport:
    """Wrap by the primary key every data key that another key of the keyring wraps.

    Args:
        backend: what holds the wrapped keys; ``session_store.backends.choice.backend_of`` makes
            it.
        keyring: holds the primary key, and the older ones.
        progress: is told how far the rotation is, after each few shards.

    Raises:
        StoreUnavailable, StoreRefused: what was done stays done; run it again.
    """
    primary = keyring.primary
    keys = [
        await _Rotation(backend, keyring, key_id, progress).run()
        for key_id in keyring.ids
        if key_id != primary
    ]
    return RotationReport(primary, tuple(keys), await _unknown(backend, keyring))


class _Rotation:
    """Over all shards, until two passes find nothing more to do."""

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
        """Go over all shards once; answer whether there was anything but broken ones."""
        found = False
        for shards in _SHARD_BATCHES:
            listed = await self._backend.wrapped_by(self._key_id, shards)
            found |= True in await _all(self._rewrap, listed)
            if self._progress is not None:
                self._progress(RotationProgress(self._key_id, number, shards.stop, self._rewrapped))
        return found

    async def _rewrap(self, participant: str) -> bool:
        """Wrap one data key anew; answer whether the list of this key was wrong, or is now."""
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
    """Look for data keys wrapped by keys that were removed too early.

    Each key that was ever used has left a check value behind, which names it.
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
            lost += [each for each, holder in zip(listed, holders, strict=True) if holder == key_id]
        if lost:
            unknown[key_id] = tuple(sorted(lost))
    return unknown


async def _all(
    work: Callable[[str], Awaitable[_Answer]], participants: Sequence[str]
) -> list[_Answer]:
    """Do the work for all, some at a time; what went wrong is raised after the others are done."""
    answers: list[_Answer] = []
    for first in range(0, len(participants), PARTICIPANTS_AT_ONCE):
        batch = participants[first : first + PARTICIPANTS_AT_ONCE]
        for answer in await asyncio.gather(*map(work, batch), return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
    return answers
