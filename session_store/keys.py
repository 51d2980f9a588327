"""Every Redis key that this library uses, and every default lifetime.

A ``KeySpace`` makes all names, so that two deployments with two namespaces share a Redis and
nothing in it.

All keys of a participant, and the deadlines of its shard, share one hash slot through the tag
``{sNNNN}``, so that each operation is one script on a Cluster too. 1024 tags spread within
1.05 times the mean over six primaries.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from session_store.errors import InvalidValue

PREFIX = "rj1"
PSEUDONYM_BYTES = 16
SHARDS = 1024
"""Fixed: another number would move every key."""

MAX_NAMESPACE_CHARS = 32
_NAMESPACE: Final = re.compile(rf"[a-z0-9_-]{{0,{MAX_NAMESPACE_CHARS}}}")

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


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The names of all keys, and of the channel, of one deployment.

    Without a namespace they begin with ``rj1:``, with one as ``rj1-<namespace>:``. So a Redis user
    who may use ``rj1:*`` reaches no deployment that has a namespace.

    Raises:
        InvalidValue: the namespace is not valid.
    """

    namespace: str = ""

    def __post_init__(self) -> None:
        if _NAMESPACE.fullmatch(self.namespace) is None:
            raise InvalidValue(
                f"a namespace has at most {MAX_NAMESPACE_CHARS} of these characters: "
                "a to z in lower case, 0 to 9, - and _"
            )

    @property
    def prefix(self) -> str:
        """What each key begins with, before the first colon."""
        return f"{PREFIX}-{self.namespace}" if self.namespace else PREFIX

    @property
    def key_check(self) -> str:
        """Hash: values that prove that a process has the keys with which this was written."""
        return f"{self.prefix}:check"

    @property
    def events(self) -> str:
        """Channel: what happens to sessions; see ``session_store.events``.

        All databases of a Redis share their channels, so only the namespace tells them apart.
        """
        return f"{self.prefix}:events"

    @property
    def audit(self) -> str:
        """Stream: what each actor saw, exported or erased, each entry with an HMAC."""
        return f"{self.prefix}:audit"

    @property
    def sweepers(self) -> str:
        """Sorted set: live sweepers, scored by their last sign of life in ms."""
        return f"{self.prefix}:sweepers"

    def room_mark(self, mac: str) -> str:
        """Hash: ``owner``, the first job that asked or joined in a room, under a MAC of it."""
        return f"{self.prefix}:room:{mac}"

    def day_counts(self, day: date) -> str:
        """Hash: counts of a day (UTC). All days share a slot, so that they can be merged."""
        return f"{self.prefix}:{{day}}:{day.isoformat()}"

    def day_people(self, day: date) -> str:
        """HyperLogLog: the participants of a day (UTC)."""
        return f"{self.prefix}:{{day}}:{day.isoformat()}:people"

    def shard(self, shard: int) -> str:
        """Return the prefix of a shard's keys: its hash tag."""
        return f"{self.prefix}:{{s{shard:04d}}}:"

    def due(self, shard: int) -> str:
        """Sorted set of a shard: a lower bound of each session's next deadline in ms."""
        return f"{self.shard(shard)}due"

    def kek(self, shard: int, key_id: str) -> str:
        """Set of a shard: participants with a data key that this key-encryption key wraps."""
        return f"{self.shard(shard)}kek:{key_id}"

    def participant(self, participant: str) -> ParticipantKeys:
        """Return the keys of one participant.

        Raises:
            InvalidValue: ``SessionStore.pseudonym`` did not make this pseudonym.
        """
        return _keys_of(self.namespace, participant)


@lru_cache(maxsize=10_000)
def shard_of(participant: str) -> int:
    """Derive a participant's shard from the pseudonym.

    Raises:
        InvalidValue: ``SessionStore.pseudonym`` did not make this pseudonym.
    """
    try:
        raw = base64.b32decode(participant.upper() + "=" * (-len(participant) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != PSEUDONYM_BYTES:
        raise InvalidValue("a participant is named by what SessionStore.pseudonym() returns")
    return int.from_bytes(raw[:2]) % SHARDS


@lru_cache(maxsize=10_000)
def _keys_of(namespace: str, participant: str) -> ParticipantKeys:
    return ParticipantKeys(participant, KeySpace(namespace).shard(shard_of(participant)))


class ParticipantKeys(NamedTuple):
    """The keys of one participant; ``KeySpace.participant`` makes them."""

    participant: str
    prefix: str

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
