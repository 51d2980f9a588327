"""The tree of errors that this library raises.

Attributes hold ids and numbers, never content. Each message says what to do.
"""

from __future__ import annotations


class SessionStoreError(Exception):
    """Root of every error that this library raises on purpose."""


class StoreUnavailable(SessionStoreError):
    """Redis did not answer; whether the operation happened is unknown."""


class StoreRefused(SessionStoreError):
    """Redis answered, and refused: credentials, rights, memory, a read-only replica."""


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
