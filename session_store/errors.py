"""The tree of errors that this library raises.

Attributes hold ids and numbers, never content. Each message says what to do.
"""

from __future__ import annotations

from typing import Final


class SessionStoreError(Exception):
    """Root of every error that this library raises on purpose."""


class StoreUnavailable(SessionStoreError):
    """Redis did not answer; whether the operation happened is unknown."""


class CircuitOpen(StoreUnavailable):
    """Redis was away a moment ago, so it was not asked; nothing was written."""


class StoreLoading(StoreUnavailable):
    """Redis is up, but still reading its data, or without a primary; nothing was written."""


class NotReplicated(StoreUnavailable):
    """The primary has it, but too few replicas said so in time: a failover may take it back."""

    def __init__(self, asked: int, answered: int) -> None:
        super().__init__(f"{answered} of {asked} replicas have it; it does not count as saved yet")
        self.asked = asked
        self.answered = answered


class NotGranted(StoreUnavailable):
    """The store was away when this conversation began, and its lease is still asked for."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id}: the lease is still asked for; nothing was written")
        self.session_id = session_id


class StoreRefused(SessionStoreError):
    """Redis answered, and refused; nothing was written."""


class LoginRefused(StoreRefused):
    """Redis wants another user or password."""


class PermissionMissing(StoreRefused):
    """The ACL user may not run a command, or not on this key or channel."""


class StoreReadOnly(StoreRefused):
    """This Redis is a replica, or has too few replicas to accept writes."""


class StoreFull(StoreRefused):
    """Redis has reached ``maxmemory`` and evicts nothing, as it should."""


MAY_PASS: Final = (StoreUnavailable, StoreFull, StoreReadOnly)
"""What a program may start in spite of: conversations can be held, and are saved later."""


class RecorderFull(SessionStoreError):
    """Redis has been away for so long that no more turns fit into memory; this one is not kept."""

    def __init__(self, session_id: str, waiting: int) -> None:
        super().__init__(
            f"session {session_id}: {waiting} turns wait already; bring Redis back, or raise "
            "REJOIN_RECORDER_MAX_BYTES"
        )
        self.session_id = session_id
        self.waiting = waiting


class InvalidValue(SessionStoreError, ValueError):
    """An argument is outside of what can be stored; nothing was written."""


class SessionGone(SessionStoreError):
    """The session was erased, or never was; what is still queued for it must be dropped."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} does not exist; it was erased or has expired")
        self.session_id = session_id


class SessionEnded(SessionStoreError):
    """The session's resume window has passed; open a new one."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} has ended; open a new one")
        self.session_id = session_id


class LeaseHeld(SessionStoreError):
    """Another owner may write this session until its lease runs out."""

    def __init__(self, session_id: str, wait_ms: int) -> None:
        super().__init__(f"session {session_id} is held for another {wait_ms} ms")
        self.session_id = session_id
        self.wait_ms = wait_ms


class LeaseLost(SessionStoreError):
    """The fencing token is stale: somebody else owns the session now. Stop writing."""

    def __init__(self, session_id: str, fencing_token: int) -> None:
        super().__init__(f"session {session_id}: fencing token {fencing_token} is stale")
        self.session_id = session_id
        self.fencing_token = fencing_token


class SequenceGap(SessionStoreError):
    """Turns before this one are missing in the store; resend from ``current + 1``."""

    def __init__(self, session_id: str, current: int) -> None:
        super().__init__(f"session {session_id}: the store has {current} turns; resend the next")
        self.session_id = session_id
        self.current = current


class WriteConflict(SessionStoreError):
    """What the caller last saw is not what is stored (the version, or the turn before)."""

    def __init__(self, session_id: str, current: int) -> None:
        super().__init__(f"session {session_id} has changed (now at {current}); load it again")
        self.session_id = session_id
        self.current = current


class UnknownSchema(SessionStoreError):
    """A record was sealed by a newer version of this library; update it."""

    def __init__(self, schema: int) -> None:
        super().__init__(f"a record has schema version {schema}, which is too new; update rejoin")
        self.schema = schema


class MetricsFailed(SessionStoreError):
    """Metrics were switched on, and cannot be kept or shown."""


class KeyringError(SessionStoreError):
    """Root of the errors about keys."""


class UnknownKey(KeyringError):
    """A record is wrapped by a key-encryption key that the keyring lacks."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"key-encryption key {key_id!r} is not in the keyring; add it again")
        self.key_id = key_id


class WrongKey(KeyringError):
    """The keys differ from those that this Redis was written with."""


class KeyringMissing(KeyringError):
    """No keys are configured, or they cannot be read."""


class SealBroken(SessionStoreError):
    """A sealed record does not open: wrong key, changed, moved, swapped, replayed or cut off."""

    def __init__(self, what: str, session_id: str | None = None) -> None:
        where = "" if session_id is None else f" of session {session_id}"
        super().__init__(f"the seal of {what}{where} is broken; it is not used")
        self.what = what
        self.session_id = session_id
