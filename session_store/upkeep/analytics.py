"""Counts by day and by session, without opening a seal.

``Analytics`` is a hook: each process counts its own events, and adds them to the day's counts in
the store about once a second. The counts are best effort. A killed process loses at most the last
second; a write without an answer may be counted twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from session_store.errors import SessionStoreError
from session_store.events import Event, EventType
from session_store.models import SessionState
from session_store.tasks import KeptTasks, happens_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_store.backends.contract import Backend, SideChannel
    from session_store.backends.values import StoredSession

logger = logging.getLogger(__name__)

WRITE_EVERY_S: Final = 1.0
MAX_WAITING_PEOPLE: Final = 10_000
"""Participants of one day that wait while the store is unreachable; more are not counted."""
MAX_WAITING_DAYS: Final = 4
"""Days that wait to be written; a newer one replaces the oldest."""

_THERE: Final = frozenset(
    {
        EventType.SESSION_CREATED,
        EventType.SESSION_RESUMED,
        EventType.PARTICIPANT_LEFT,
        EventType.TAKEOVER,
        EventType.HANDOFF,
        EventType.TURN_APPENDED,
    }
)
"""Events that show that the participant was present at that time."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What happened on one day (UTC)."""

    day: date
    people: int = 0
    """How many participants were present. An estimate: exact for few, 0.8 % error for many."""
    sessions_created: int = 0
    rejoins: int = 0
    """How often a participant came back to a session."""
    takeovers: int = 0
    """How often a job continued the session of a job that died."""
    handoffs: int = 0
    """How often a job continued a session that its job had released."""
    leases_lost: int = 0
    turns: int = 0
    visits: int = 0
    """Visits that ended on this day."""
    visit_ms: int = 0
    """Total length of these visits."""
    sessions_ended: int = 0
    sessions_erased: int = 0
    """Sessions erased one by one, or at the end of their retention."""
    erasures: int = 0
    """Participants that were erased completely."""

    @property
    def connects(self) -> int:
        """How often participants came, for the first time or again."""
        return self.sessions_created + self.rejoins


_COUNTERS: Final = tuple(
    counter.name for counter in fields(DayCounts) if counter.name not in {"day", "people"}
)


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """One session in numbers, readable without its participant's key."""

    session_id: str
    state: SessionState
    joined_at: datetime | None
    last_seen: datetime
    ended_at: datetime | None
    turns: int
    """How many turns were ever recorded; older ones may be trimmed."""
    returns: int
    talk_s: float
    """How long the participant was present, over all finished visits."""

    @classmethod
    def of(cls, stored: StoredSession) -> SessionCounts:
        """Read the numbers of a stored session; its sealed parts are not used."""
        return cls(
            session_id=stored.id,
            state=SessionState(stored.state),
            joined_at=_time(stored.joined_at),
            last_seen=datetime.fromtimestamp(stored.last_seen / 1000, UTC),
            ended_at=_time(stored.ended_at),
            turns=stored.seq,
            returns=stored.reconnect_count,
            talk_s=stored.talk_ms / 1000,
        )


async def session_counts(
    backend: Backend, participant: str, *, offset: int = 0, limit: int = 20
) -> tuple[int, list[SessionCounts]]:
    """Return how many sessions a participant has, and some of them in numbers, newest first."""
    page = await backend.sessions(participant, offset=offset, limit=limit)
    return page.total, [SessionCounts.of(stored) for stored in page.sessions]


def last_days(count: int, until: date | None = None) -> list[date]:
    """Return ``count`` days up to ``until`` (by default today, UTC), oldest first."""
    last = until or datetime.now(UTC).date()
    return [last - timedelta(days=back) for back in reversed(range(count))]


def _time(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


@dataclass(slots=True)
class _Waiting:
    """Counts that will be added to one day."""

    people: set[str] = field(default_factory=set)
    counters: Counter[str] = field(default_factory=Counter)

    def note(self, people: set[str], counters: Mapping[str, int]) -> None:
        room = MAX_WAITING_PEOPLE - len(self.people)
        self.people.update(list(people - self.people)[:room])
        self.counters.update(counters)


class Analytics:
    """Counts events, and returns the counts.

    Args:
        side: where to write.
        name: the name under which a participant is counted. With a keyed name
            (``Keyring.fingerprint``) the estimate of a day tells nothing without the key.

    Close it before the store: ``aclose`` writes counts that still wait. ``on_event`` needs a
    running event loop.
    """

    def __init__(self, side: SideChannel, *, name: Callable[[str], str] | None = None) -> None:
        self._side = side
        self._name = name
        self._waiting: dict[date, _Waiting] = {}
        self._closing = asyncio.Event()
        self._tasks = KeptTasks(logger)
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def on_event(self, event: Event) -> None:
        """See ``EventHook``."""
        day = datetime.fromtimestamp(event.at / 1000, UTC).date()
        people = {event.participant} if event.type in _THERE else set()
        if self._name is not None:
            people = set(map(self._name, people))
        self._note(day, people, _counts(event))
        if self._task is None or self._task.done():
            self._task = self._tasks.spawn(self._write_behind())

    async def flush(self) -> bool:
        """Write counts that wait; return whether all are written. Never raises."""
        waiting, self._waiting = self._waiting, {}
        try:
            while waiting:
                day, counts = next(iter(waiting.items()))
                await self._side.count(day, counts.people, counts.counters)
                del waiting[day]
        except SessionStoreError as error:
            if not self._failing:
                logger.warning("counts wait for the store", extra={"reason": str(error)})
            self._failing = True
            for day, counts in waiting.items():
                self._note(day, counts.people, counts.counters)
            return False
        self._failing = False
        return True

    async def aclose(self) -> None:
        """Write counts that wait, in one try, and stop. Later events are still counted."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def day(self, day: date) -> DayCounts:
        """Return the counts of a day (UTC); all 0 if nothing is known of that day."""
        counted = await self._side.counted(day)
        people = await self._side.people([day])
        known = {name: counted.get(name, 0) for name in _COUNTERS}
        return DayCounts(day=day, people=people, **known)

    async def active(self, days: Sequence[date]) -> int:
        """Estimate how many participants were present on any of these days."""
        return await self._side.people(days)

    def _note(self, day: date, people: set[str], counters: Mapping[str, int]) -> None:
        if day not in self._waiting and len(self._waiting) >= MAX_WAITING_DAYS:
            del self._waiting[min(self._waiting)]
        self._waiting.setdefault(day, _Waiting()).note(people, counters)

    async def _write_behind(self) -> None:
        """Write once a second while there is something to write."""
        while self._waiting:
            await happens_within(self._closing, WRITE_EVERY_S)
            written = await self.flush()
            if self._closing.is_set() and not written:
                return


_COUNTED_AS: Final = {
    EventType.SESSION_CREATED: "sessions_created",
    EventType.SESSION_RESUMED: "rejoins",
    EventType.TAKEOVER: "takeovers",
    EventType.HANDOFF: "handoffs",
    EventType.LEASE_LOST: "leases_lost",
    EventType.SESSION_ENDED: "sessions_ended",
}


def _counts(event: Event) -> dict[str, int]:
    counts: dict[str, int] = {}
    if event.type is EventType.ERASED:
        counts["sessions_erased" if event.session_id else "erasures"] = 1
    elif event.type is EventType.TURN_APPENDED:
        counts["turns"] = event.turns
    elif event.type in _COUNTED_AS:
        counts[_COUNTED_AS[event.type]] = 1
    # A visit ends when its participant leaves; or with its session, if that was not noticed.
    if event.type is EventType.PARTICIPANT_LEFT or event.visit_ms:
        counts |= {"visits": 1, "visit_ms": event.visit_ms}
    return counts
