"""The records of a ``MemoryBackend``, and the rules about time that its operations share.

Times are Unix milliseconds. A record has the fields of the hash in Redis.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from session_store.backends.values import (
    MAX_WORKS_BEFORE,
    LateTurn,
    SealedDraft,
    SealedWork,
    StoredSession,
)
from session_store.keys import (
    CLOCKS_DIFFER,
    COMEBACK,
    CRASH_WINDOW,
    EXPIRY_MARGIN,
    LATE_PART,
    MAX_DEATHS,
    SHARED_LIFETIME,
    SHORT_LIFE,
)
from session_store.sealing.data_key import tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_store.backends.values import Consent, SessionRef
    from session_store.sealing.data_key import WrappedKey
    from session_store.settings import StoreSettings

FIRST_REGULAR_RETURN = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the operations, in milliseconds."""

    lease_ms: int
    expect_ms: int
    windows_ms: tuple[int, int, int]
    retention_ms: int
    max_turns: int
    max_sessions: int
    publish_turns: bool

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """Convert the settings."""
        return cls(
            lease_ms=_ms(settings.lease_s),
            expect_ms=_ms(settings.agent_expected_s),
            windows_ms=(
                _ms(settings.resume_window_first_s),
                _ms(settings.resume_window_early_s),
                _ms(settings.resume_window_regular_s),
            ),
            retention_ms=_ms(settings.retention_s),
            max_turns=settings.max_turns,
            max_sessions=settings.max_sessions,
            publish_turns=settings.publish_turns,
        )

    def window_ms(self, reconnect_count: int) -> int:
        """Return the resume window after this number of returns."""
        first, early, regular = self.windows_ms
        if reconnect_count == 0:
            return first
        return early if reconnect_count < FIRST_REGULAR_RETURN else regular


@dataclass(slots=True)
class SessionRecord:
    """One session."""

    id: str
    data_key_id: str
    last_seen: int
    window_until: int
    keep_ms: int | None
    """The participant's own retention; ``None`` for the default."""
    listed_at: int = 0
    """Orders the sessions: ``last_seen`` at the last arrival or departure."""
    expires_at: int = 0
    state: str = "new"
    reconnect_count: int = 0
    joined_at: int = 0
    arrived_at: int = 0
    """When the present visit began; 0 without a visit."""
    seq: int = 0
    epoch_start: int = 0
    """The first number of a turn that the present lease may write."""
    fence: int = 0
    owner: str = ""
    lease_until: int = 0
    lease_ms: int = 0
    """The length of the newest lease."""
    agent_by: int = 0
    version: int = 0
    head: bytes = b""
    load: str = ""
    outcome: str = ""
    arrival: str | None = None
    counted: bool = False
    ended_at: int = 0
    talk_ms: int = 0
    gap_ms: int = 0
    away_at: int = 0
    """When the participant left; 0 while it is there."""
    claim: str = ""
    """The idempotency key of the claim behind ``agent_by``."""
    claimed_at: int = 0
    """When that claim was made."""
    replaced: int = -1
    """Fencing token of the newest holder that got a successor."""
    deaths: list[int] = field(default_factory=list)
    """When the last agents in a row died."""
    gave_up: int = 0
    """Since when no agent is dispatched any more; 0 if agents are."""
    lost: int = -1
    """Fencing token of the newest lease that was broken: the next job takes over."""
    lost_until: int = 0
    """When that lease would have run out."""
    hasty: int = -1
    """Fencing token of the newest holder that gave its lease back after a short life."""
    taken_at: int = 0
    """When the newest lease was taken."""
    left_at: int = 0
    """When a participant who had been there was found to be gone."""
    let_in: int = 0
    """When a participant was admitted that no job has seen yet; 0 for none."""
    scope: str = ""
    room: str = ""
    """Where the newest holder is."""
    came: int = 0
    """When its participant came there, by LiveKit's clock."""
    moved_from: str = ""
    """The room before, if that was another one."""
    moved_at: int = 0
    look: bool = False
    """The participant left the newest room, and may wait in an earlier one."""
    content: bytes | None = None
    turns: list[bytes] = field(default_factory=list)
    late: dict[tuple[int, int], LateTurn] = field(default_factory=dict)
    drafts: dict[str, SealedDraft] = field(default_factory=dict)
    """By role. A draft that became a turn has nothing sealed."""
    work: SealedWork | None = None
    works_before: list[SealedWork] = field(default_factory=list)

    def lease_is_live(self, now: int, grace_ms: int = 0) -> bool:
        """Return whether a job holds the lease, or did so less than ``grace_ms`` ago.

        A lease that would last for more than twice its own length was written before the clock
        was set back.
        """
        lasts_ms = self.lease_until - now
        is_old = self.lease_ms and lasts_ms > 2 * self.lease_ms
        return self.owner != "" and lasts_ms > -grace_ms and not is_old

    def agent_is_expected(self, now: int) -> bool:
        """Return whether an agent was dispatched, and has still time to come."""
        return self.agent_by > now and not is_ahead(self.claimed_at, now)

    def is_elsewhere(self, room: str) -> bool:
        """Return whether a room is another one than the newest holder's; both are known."""
        return room != "" and self.room not in ("", room)

    def give_back(self, now: int) -> None:
        """Take the lease from its holder."""
        if self.state == "live" and now < self.taken_at + _SHORT_LIFE_MS:
            self.hasty = self.fence
        self.owner, self.lease_until = "", 0

    def note_successor(self, now: int) -> bool:
        """Count a death, if the newest holder had come and has no successor yet.

        Returns False, and gives up, if too many agents died within a minute.
        """
        first = self.replaced != self.fence
        died = self.owner != "" or (self.state == "live" and self.hasty == self.fence)
        recent = [at for at in self.deaths if at > now - _CRASH_MS and not is_ahead(at, now)]
        self.replaced = self.fence
        if died and first:
            if len(recent) >= MAX_DEATHS:
                self.agent_by, self.gave_up = 0, now
                return False
            recent.append(now)
        self.deaths, self.gave_up = recent, 0
        return True

    def late_from(self, rules: Rules) -> int:
        """Return when the holder becomes late: a living one has renewed its lease by then."""
        return self.lease_until - int(rules.lease_ms * LATE_PART)

    def resume_until(self, rules: Rules) -> int:
        """Return until when a rejoin continues this session.

        A job that died left no mark. Then the window runs from the end of its lease, or from its
        last sign of life. An agent on its way belongs to an admitted participant. If it does not
        come, that participant waits for another one.
        """
        until, window_ms = self.window_until, rules.window_ms(self.reconnect_count)
        if self.state == "live":
            until = max(self.lease_until, self.last_seen) + window_ms
        return max(until, self.agent_by + window_ms) if self.agent_by else until

    def has_given_up(self, now: int) -> bool:
        """Return whether dispatch has stopped for a while, because agents died in a row."""
        is_known = self.gave_up > 0 and not is_ahead(self.gave_up, now)
        return is_known and now < self.given_up_until()

    def given_up_until(self) -> int:
        """Return until when no agent is dispatched."""
        return self.gave_up + _CRASH_MS

    def may_come_back(self, now: int) -> bool:
        """Return whether the participant went a moment ago, and may come back without asking."""
        is_known = self.left_at > 0 and not is_ahead(self.left_at, now)
        return is_known and now < self.left_at + _COMEBACK_MS

    def may_resume(self, now: int, rules: Rules) -> bool:
        """Return whether a rejoin continues this session.

        While the participant is here, a live lease is enough. Afterwards the window decides.
        """
        if self.state == "ended":
            return False
        here = self.state == "live" and self.lease_is_live(now)
        return here or now <= self.resume_until(rules)

    def keep_draft(self, draft: SealedDraft) -> None:
        """Keep a draft, if it is newer than the one in its slot."""
        kept = self.drafts.get(draft.role)
        if kept is None or kept.number < draft.number:
            self.drafts[draft.role] = draft

    def settle_drafts(self, settles: Mapping[str, int] | None) -> None:
        """Empty the slots of drafts that became turns, unless they hold newer drafts."""
        for role, number in (settles or {}).items():
            kept = self.drafts.get(role)
            if kept is None or kept.number <= number:
                self.drafts[role] = SealedDraft(role, number, b"")

    def keep_work(self, work: SealedWork | None) -> None:
        """Keep what the program works on, if it is newer; put the one before aside if asked to."""
        before = self.work
        if work is None or (before is not None and before.seq >= work.seq):
            return
        is_kept = before is not None and before.seq == work.keeps
        if before is not None and is_kept and len(self.works_before) < MAX_WORKS_BEFORE:
            self.works_before.append(before)
        self.work = SealedWork(work.seq, work.sealed)

    def tag_at(self, seq: int) -> bytes:
        """Return the tag of a turn; empty if the turn was trimmed."""
        place = seq - (self.seq - len(self.turns) + 1)
        return tag_of(self.turns[place]) if place >= 0 else b""

    def close_visit(self, until: int) -> int:
        """End the present visit, if there is one; return its length."""
        visit_ms = max(0, until - self.arrived_at) if self.arrived_at else 0
        self.talk_ms += visit_ms
        self.arrived_at = 0
        return visit_ms

    def depart(self, at: int, rules: Rules) -> int:
        """End the visit at ``at`` and begin the resume window; return the visit's length."""
        visit_ms = self.close_visit(at)
        self.state = "away"
        self.last_seen = self.away_at = at
        self.window_until = at + rules.window_ms(self.reconnect_count)
        return visit_ms

    def kept_until(self, rules: Rules) -> int:
        """Return when the record is due for erasure."""
        return self.last_seen + (self.keep_ms or rules.retention_ms)

    def stored(self, wrapped: WrappedKey, now: int, *, last: int | None = None) -> StoredSession:
        """Return the record as a backend returns it, with its ``last`` turns, or all."""
        skipped = 0 if last is None else max(0, len(self.turns) - last)
        head = self.head if not skipped else tag_of(self.turns[skipped - 1])
        slots = sorted(self.drafts.values(), key=lambda slot: slot.number)
        return StoredSession(
            id=self.id,
            wrapped=wrapped,
            now=now,
            state=self.state,
            reconnect_count=self.reconnect_count,
            joined_at=self.joined_at,
            last_seen=self.last_seen,
            seq=self.seq,
            version=self.version,
            fence=str(self.fence),
            owner=self.owner,
            lease_until=self.lease_until,
            window_until=self.window_until,
            ended_at=self.ended_at,
            talk_ms=self.talk_ms,
            gap_ms=self.gap_ms,
            scope=self.scope,
            head=head,
            content=self.content,
            turns=self.turns[skipped:],
            late=[turn for _, turn in sorted(self.late.items())],
            drafts=[slot for slot in slots if slot.sealed],
            draft_number=slots[-1].number if slots else 0,
            work=self.work,
            works_before=tuple(self.works_before),
        )


@dataclass(slots=True)
class Person:
    """A participant and its sessions."""

    wrapped: WrappedKey
    created: int
    consent: Consent | None = None
    retention_ms: int | None = None
    expires_at: int = 0
    newest: dict[str, str] = field(default_factory=dict)
    """The newest session of each scope."""
    sessions: dict[str, SessionRecord] = field(default_factory=dict)

    def newest_first(self) -> list[SessionRecord]:
        """Return the sessions in the order of a sorted set: by time, then by id."""
        return sorted(self.sessions.values(), key=lambda s: (s.listed_at, s.id), reverse=True)

    def touch(self, now: int, rules: Rules, *records: SessionRecord) -> None:
        """Begin the lifetimes again after a write. They are the safety net below the deadlines."""
        ttl_ms = (self.retention_ms or rules.retention_ms) + _MARGIN_MS
        self.expires_at = now + ttl_ms
        for record in records:
            record.expires_at = now + ttl_ms

    def forget_expired(self, now: int) -> None:
        """Drop the sessions whose lifetime is over."""
        for record in [record for record in self.sessions.values() if record.expires_at <= now]:
            del self.sessions[record.id]


@dataclass(slots=True)
class Memory:
    """Everything that the backend holds."""

    people: dict[str, Person] = field(default_factory=dict)
    due: dict[SessionRef, int] = field(default_factory=dict)
    """A lower bound of each session's next deadline."""
    checks: dict[str, bytes] = field(default_factory=dict)
    sweepers: dict[str, int] = field(default_factory=dict)
    """When each sweeper last reported."""
    erased: dict[str, int] = field(default_factory=dict)
    """When each participant was last erased."""
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells this memory from an empty one that took its place."""

    def erased_at(self, participant: str, now: int) -> int | None:
        """Return when a participant was last erased, unless that is too long ago to be kept."""
        at = self.erased.get(participant)
        if at is not None and at + _SHARED_MS <= now:
            del self.erased[participant]
            return None
        return at

    def person(self, participant: str, now: int) -> Person | None:
        """Return a participant, without sessions whose lifetime is over."""
        person = self.people.get(participant)
        if person is not None:
            person.forget_expired(now)
            if person.expires_at <= now:
                del self.people[participant]
                return None
        return person


def is_ahead(at: int, now: int) -> bool:
    """Return whether a time was written before the clock was set back."""
    return at > now + _CLOCK_MS


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


_MARGIN_MS = _ms(EXPIRY_MARGIN / timedelta(seconds=1))
_CRASH_MS = _ms(CRASH_WINDOW / timedelta(seconds=1))
_SHORT_LIFE_MS = _ms(SHORT_LIFE / timedelta(seconds=1))
_CLOCK_MS = _ms(CLOCKS_DIFFER / timedelta(seconds=1))
_COMEBACK_MS = _ms(COMEBACK / timedelta(seconds=1))
_SHARED_MS = _ms(SHARED_LIFETIME / timedelta(seconds=1))
