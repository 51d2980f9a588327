"""Encrypted, fenced, atomic session state for voice agents, in Redis or Valkey.

``SessionStore`` is the entry point; ``session_store.livekit`` binds it to a LiveKit agent.
"""

from session_store.backends.values import (
    AgentPresence,
    Erased,
    JoinOutcome,
    SealedDraft,
    SealedWork,
)
from session_store.distribution import installed_version
from session_store.errors import (
    CircuitOpen,
    InvalidValue,
    KeyringError,
    KeyringMissing,
    LeaseHeld,
    LeaseLost,
    LoginRefused,
    MetricsFailed,
    NotReplicated,
    PermissionMissing,
    RecorderFull,
    SealBroken,
    SequenceGap,
    SessionEnded,
    SessionGone,
    SessionStoreError,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreRefused,
    StoreUnavailable,
    UnknownKey,
    UnknownSchema,
    WriteConflict,
    WrongKey,
)
from session_store.events import Event, EventHook, EventsMissed, EventType
from session_store.meter import Meter
from session_store.models import (
    MAX_STATE_BYTES,
    Draft,
    RecordedTurn,
    Session,
    SessionContent,
    SessionContext,
    SessionState,
    Turn,
    TurnKind,
    Work,
)
from session_store.sealing.keyring import Keyring
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.upkeep.analytics import Analytics, DayCounts
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.journal import ErasureJournal, JournalFailed
from session_store.upkeep.observers import watched
from session_store.upkeep.rotation import rotate_keys
from session_store.upkeep.sweeper import Sweeper
from session_store.values import (
    Arrival,
    Joined,
    Lease,
    Loaded,
    Opened,
    Replayed,
    SealedTurn,
    SessionPage,
)
from session_store.writing.lease import LeaseKeeper
from session_store.writing.recorder import Recorder
from session_store.writing.spool import Spool

__version__ = installed_version()
"""The version that is installed; ``0+checkout`` for a checkout that is not installed."""

__all__ = [
    "MAX_STATE_BYTES",
    "AgentPresence",
    "Analytics",
    "Arrival",
    "AuditLog",
    "CircuitOpen",
    "DayCounts",
    "Draft",
    "Erased",
    "ErasureJournal",
    "Event",
    "EventHook",
    "EventType",
    "EventsMissed",
    "InvalidValue",
    "JoinOutcome",
    "Joined",
    "JournalFailed",
    "Keyring",
    "KeyringError",
    "KeyringMissing",
    "Lease",
    "LeaseHeld",
    "LeaseKeeper",
    "LeaseLost",
    "Loaded",
    "LoginRefused",
    "Meter",
    "MetricsFailed",
    "NotReplicated",
    "Opened",
    "PermissionMissing",
    "RecordedTurn",
    "Recorder",
    "RecorderFull",
    "Replayed",
    "SealBroken",
    "SealedDraft",
    "SealedTurn",
    "SealedWork",
    "SequenceGap",
    "Session",
    "SessionContent",
    "SessionContext",
    "SessionEnded",
    "SessionGone",
    "SessionPage",
    "SessionState",
    "SessionStore",
    "SessionStoreError",
    "Spool",
    "StoreFull",
    "StoreLoading",
    "StoreReadOnly",
    "StoreRefused",
    "StoreSettings",
    "StoreUnavailable",
    "Sweeper",
    "Turn",
    "TurnKind",
    "UnknownKey",
    "UnknownSchema",
    "Work",
    "WriteConflict",
    "WrongKey",
    "__version__",
    "rotate_keys",
    "watched",
]
