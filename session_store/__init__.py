"""Encrypted, fenced, atomic session state for voice agents, in Redis or Valkey.

``SessionStore`` is the entry point; ``session_store.livekit`` binds it to a LiveKit agent.
"""

from session_store.backends.base import AgentPresence, JoinOutcome
from session_store.crypto import Keyring
from session_store.errors import (
    InvalidValue,
    KeyringError,
    KeyringMissing,
    LeaseHeld,
    LeaseLost,
    SealBroken,
    SequenceGap,
    SessionEnded,
    SessionGone,
    SessionStoreError,
    StoreRefused,
    StoreUnavailable,
    UnknownKey,
    WriteConflict,
    WrongKey,
)
from session_store.lease import LeaseKeeper
from session_store.models import (
    RecordedTurn,
    Session,
    SessionContent,
    SessionContext,
    SessionState,
    Turn,
    TurnKind,
)
from session_store.recorder import Recorder
from session_store.settings import StoreSettings
from session_store.store import Arrival, Joined, Lease, Loaded, Opened, SealedTurn, SessionStore

__all__ = [
    "AgentPresence",
    "Arrival",
    "InvalidValue",
    "JoinOutcome",
    "Joined",
    "Keyring",
    "KeyringError",
    "KeyringMissing",
    "Lease",
    "LeaseHeld",
    "LeaseKeeper",
    "LeaseLost",
    "Loaded",
    "Opened",
    "RecordedTurn",
    "Recorder",
    "SealBroken",
    "SealedTurn",
    "SequenceGap",
    "Session",
    "SessionContent",
    "SessionContext",
    "SessionEnded",
    "SessionGone",
    "SessionState",
    "SessionStore",
    "SessionStoreError",
    "StoreRefused",
    "StoreSettings",
    "StoreUnavailable",
    "Turn",
    "TurnKind",
    "UnknownKey",
    "WriteConflict",
    "WrongKey",
]
