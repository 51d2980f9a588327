"""Every Redis key that this library uses, and every default lifetime.

All keys of a participant, and the deadlines of its shard, share one hash slot through the tag
``{sNNNN}``, so that each operation is one script on a Cluster too. 1024 tags spread within
1.05 times the mean over six primaries.
"""

from __future__ import annotations

import base64
import binascii
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from session_store.errors import InvalidValue

PREFIX = "rj1"
PSEUDONYM_BYTES = 16
SHARDS = 1024
"""Fixed: another number would move every key."""

KEY_CHECK = f"{PREFIX}:check"
"""Hash: values that prove that a process has the keys with which this Redis was written."""

EVENTS = f"{PREFIX}:events"
"""Channel: what happens to sessions; see ``session_store.events``."""

AUDIT = f"{PREFIX}:audit"
"""Stream: what each actor saw, exported or erased, each entry with an HMAC."""

SWEEPERS = f"{PREFIX}:sweepers"
"""Sorted set: live sweepers, scored by their last sign of life in ms."""

DEFAULT_RETENTION = timedelta(hours=24)
MAX_RETENTION = timedelta(days=7)
EXPIRY_MARGIN = timedelta(hours=1)
"""Keys expire this long after their retention, should the deadlines in the hashes fail."""
SHARED_LIFETIME = MAX_RETENTION + 2 * EXPIRY_MARGIN
"""Lifetime of keys that all participants of a shard share; longer than that of their own keys."""
LONG_LIFETIME = timedelta(days=400)
"""Lifetime of key checks, day counts and the audit stream after their last write."""
DEFAULT_LEASE = timedelta(seconds=3)
DEFAULT_RESUME_WINDOWS = (timedelta(seconds=300), timedelta(seconds=600), timedelta(seconds=1800))
"""At ``reconnect_count`` 0, at 1 and 2, and from 3 on."""
MAX_DEATHS = 3
"""How many agents that died within ``CRASH_WINDOW`` are replaced; the next one is not."""
CRASH_WINDOW = timedelta(seconds=60)
"""Also how long no agent is dispatched after the last of these deaths."""
LATE_PART = 0.25
"""A holder is late when only this part of its lease is left. It may be dead: a live holder would
have renewed earlier."""
SHORT_LIFE = timedelta(seconds=10)
"""A job that releases its lease this soon, with its participant present, counts as dead."""
NO_TAKING_BACK = timedelta(seconds=10)
"""For so long a room does not take a lease back that another room has taken from it."""
CLOCKS_DIFFER = timedelta(seconds=10)
"""How far the clocks of a Redis and its replicas may differ. A time that is further ahead was
written before the clock was set back."""
COMEBACK = timedelta(seconds=60)
"""How long an absent participant may still come back: livekit-client retries for 44 s."""
DEFAULT_MAX_TURNS = 100
DEFAULT_MAX_SESSIONS = 50
DEFAULT_MODEL_TURNS = 10
MAX_AUDIT_ENTRIES = 100_000


def day_counts(day: date) -> str:
    """Hash: counts of a day (UTC). All days share a slot, so that they can be merged."""
    return f"{PREFIX}:{{day}}:{day.isoformat()}"


def day_people(day: date) -> str:
    """HyperLogLog: the participants of a day (UTC)."""
    return f"{PREFIX}:{{day}}:{day.isoformat()}:people"


def shard_prefix(shard: int) -> str:
    """Return the prefix of a shard's keys: its hash tag."""
    return f"{PREFIX}:{{s{shard:04d}}}:"


def due_of(shard: int) -> str:
    """Sorted set of a shard: a lower bound of each session's next deadline in ms."""
    return f"{shard_prefix(shard)}due"


def kek_of(shard: int, key_id: str) -> str:
    """Set of a shard: participants with a data key that this key-encryption key wraps."""
    return f"{shard_prefix(shard)}kek:{key_id}"


class ParticipantKeys(NamedTuple):
    """The keys of one participant."""

    participant: str
    prefix: str

    @classmethod
    @lru_cache(maxsize=10_000)
    def of(cls, participant: str) -> ParticipantKeys:
        """Derive the shard from the pseudonym.

        Raises:
            InvalidValue: ``SessionStore.pseudonym`` did not make this pseudonym.
        """
        try:
            raw = base64.b32decode(participant.upper() + "=" * (-len(participant) % 8))
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != PSEUDONYM_BYTES:
            raise InvalidValue("a participant is named by what SessionStore.pseudonym() returns")
        return cls(participant, shard_prefix(int.from_bytes(raw[:2]) % SHARDS))

    @property
    def data_key(self) -> str:
        """Hash: the wrapped data key; outlives all sessions of the participant."""
        return f"{self.prefix}p:{self.participant}"

    @property
    def sessions(self) -> str:
        """Sorted set: session ids by ``last_seen`` in milliseconds."""
        return f"{self.prefix}p:{self.participant}:sessions"

    @property
    def erased(self) -> str:
        """Hash: when the participant was last erased. Nothing else is left then."""
        return f"{self.prefix}p:{self.participant}:erased"

    @property
    def due(self) -> str:
        """Sorted set of the shard: a lower bound of each session's next deadline in ms."""
        return f"{self.prefix}due"

    @property
    def mark(self) -> str:
        """Hash of the shard: made by its first join, and never removed.

        It tells a store that has lost everything from a session that was deleted.
        """
        return f"{self.prefix}mark"

    def kek(self, key_id: str) -> str:
        """Set of the shard: participants whose data key this key-encryption key wraps."""
        return f"{self.prefix}kek:{key_id}"

    def session(self, session_id: str) -> str:
        """Hash: plain numbers that scripts change, and the sealed content."""
        return f"{self.prefix}s:{self.participant}:{session_id}"

    def turns(self, session_id: str) -> str:
        """List: sealed turns, oldest first."""
        return f"{self.prefix}t:{self.participant}:{session_id}"
