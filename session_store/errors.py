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
    """Redis was unreachable a moment ago, so the call was not sent; nothing was written."""


class StoreLoading(StoreUnavailable):
    """Redis is loading its data, or has no primary; nothing was written."""


class NotReplicated(StoreUnavailable):
    """The primary has the write, but too few replicas confirmed it: a failover may undo it."""

    def __init__(self, asked: int, answered: int) -> None:
        super().__init__(f"{answered} of {asked} replicas have it; it does not count as saved yet")
        self.asked = asked
        self.answered = answered


class NotGranted(StoreUnavailable):
    """The store was unreachable when this conversation began; its lease is not granted yet."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id}: the lease is still asked for; nothing was written")
        self.session_id = session_id


class StoreRefused(SessionStoreError):
    """Redis answered, and refused; nothing was written."""


class LoginRefused(StoreRefused):
    """Redis did not accept the user or the password."""


class PermissionMissing(StoreRefused):
    """The ACL user may not run a command, or may not use this key or channel."""


class StoreReadOnly(StoreRefused):
    """This Redis is a replica, or has too few replicas to accept writes."""


class StoreFull(StoreRefused):
    """Redis has reached ``maxmemory`` and evicts nothing, as it should."""


MAY_PASS: Final = (StoreUnavailable, StoreFull, StoreReadOnly)
"""Errors that must not keep a program from starting: conversations are saved later."""


class RecorderFull(SessionStoreError):
    """Redis was unreachable for too long: no more turns fit into memory. This turn is not kept."""

    def __init__(self, session_id: str, waiting: int) -> None:
        super().__init__(
            f"session {session_id}: {waiting} turns wait already; bring Redis back, or raise "
            "REJOIN_RECORDER_MAX_BYTES"
        )
        self.session_id = session_id
        self.waiting = waiting


class InvalidValue(SessionStoreError, ValueError):
    """An argument is not valid; nothing was written."""


class SessionGone(SessionStoreError):
    """The session was erased or never existed; writes that wait for it must be dropped."""

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

    def __init__(self, session_id: str, wait_ms: int, *, has_moved: bool = False) -> None:
        super().__init__(f"session {session_id} is held for another {wait_ms} ms")
        self.session_id = session_id
        self.has_moved = has_moved
        """Whether another room has taken it from this one a moment ago, and keeps it so long."""
        self.wait_ms = wait_ms


class LeaseLost(SessionStoreError):
    """The fencing token is stale: another job owns the session now. Stop writing."""

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
    """The store holds another version, or another turn, than the caller read last."""

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
    """Metrics are switched on, but cannot be kept or shown."""


class KeyringError(SessionStoreError):
    """Root of the errors about keys."""


class UnknownKey(KeyringError):
    """A data key is wrapped with a key-encryption key that is not in the keyring."""

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
