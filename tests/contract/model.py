"""What a store must do, in plain Python: no fields, no expiry, no atomicity, only the rules.

Time is in seconds. A fencing token is a count of holders. Nothing is trimmed: what is kept of the
turns is their end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

LEASE_S, EXPECT_S, WINDOWS_S, RETENTION_S = 20, 20, (120, 220, 320), 3620
MAX_TURNS, MAX_SESSIONS = 4, 3

Told = tuple[str, str, int]
"""An event: its type, the session, and how long a visit was."""


class Refused(Exception):
    """The name of the error that the store must raise, and the number that it tells."""


@dataclass
class Session:
    """One conversation."""

    id: str
    data_key: str
    last_seen: int
    window_until: int
    place: int
    """In the list: greater is newer."""
    state: str = "new"
    returns: int = 0
    here_since: int | None = None
    holder: str = ""
    fence: int = 0
    lease_until: int = 0
    agent_by: int = 0
    told: int = -1
    turns: list[bytes] = field(default_factory=list)
    first_own: int = 1
    version: int = 0
    content: bytes | None = None
    late: dict[tuple[int, int], bytes] = field(default_factory=dict)
    load: str = ""
    outcome: str = ""
    arrival: tuple[str, bool] | None = None

    @property
    def kept(self) -> list[bytes]:
        """The turns that are still there."""
        return self.turns[-MAX_TURNS:]

    def ends_at(self) -> int:
        """When its window closes."""
        until = self.window_until
        if self.state == "live":
            until = max(self.lease_until, self.last_seen) + self.window()
        return max(until, self.agent_by)

    def window(self) -> int:
        """How long it may be resumed, by its returns."""
        return WINDOWS_S[(self.returns > 0) + (self.returns > 2)]

    def resumes(self, now: int) -> bool:
        """Whether a rejoin continues it."""
        in_use = self.state == "live" and self.is_held(now)
        return self.state != "ended" and (in_use or now <= self.ends_at())

    def is_held(self, now: int) -> bool:
        """Whether its lease is live."""
        return self.holder != "" and self.lease_until > now


@dataclass
class Person:
    """A participant."""

    data_key: str
    keeps_s: int = RETENTION_S
    sessions: dict[str, Session] = field(default_factory=dict)

    def newest_first(self) -> list[Session]:
        """The list of sessions."""
        return sorted(self.sessions.values(), key=lambda s: -s.place)


@dataclass(frozen=True)
class Lease:
    """What a job shows."""

    who: str
    session: str
    holder: str
    fence: int
    data_key: str


class Model:
    """The store."""

    def __init__(self) -> None:
        self.now = 0
        self.people: dict[str, Person] = {}
        self._places = count(1)

    def open(  # noqa: PLR0913 (what open can be asked)
        self, who: str, wanted: str, new_id: str, data_key: str, mode: str, *, expect: bool
    ) -> tuple[str, bool, str, list[Told]]:
        """Answer id, whether it is new, whether there is an agent, and what happened."""
        told: list[Told] = []
        s, created = self._find(who, wanted, new_id, data_key, mode, told)
        if not created:
            s.last_seen, s.place = self.now, next(self._places)
            s.window_until = max(s.window_until, self.now + s.window())
        return s.id, created, self._claim(s, claim=expect), told

    def join(  # noqa: PLR0913, PLR0917 (what join can be asked)
        self, who: str, wanted: str, new_id: str, data_key: str, holder: str, load: str, mode: str
    ) -> tuple[Lease, str, list[Told]]:
        """Answer the lease, the outcome, and what happened."""
        told: list[Told] = []
        s, _ = self._find(who, wanted, new_id, data_key, mode, told)
        if s.holder != holder:
            if s.is_held(self.now):
                raise Refused("LeaseHeld", 0)
            if s.state == "new":
                s.outcome, s.here_since = "created", self.now
            elif s.state == "away" or load not in ("", s.load):
                s.outcome = "rejoined"
                self._return(s, told)
            else:
                s.outcome = "taken_over"
                told.append(("takeover" if s.holder else "handoff", s.id, 0))
            s.state, s.holder, s.fence = "live", holder, s.fence + 1
            s.lease_until, s.agent_by, s.last_seen = self.now + LEASE_S, 0, self.now
            s.first_own, s.load, s.place = len(s.turns) + 1, load or s.load, next(self._places)
        return Lease(who, s.id, holder, s.fence, s.data_key), s.outcome, told

    def arrive(self, lease: Lease, attempt: str, load: str) -> tuple[bool, int, list[Told]]:
        """Answer whether it was counted, how many returns there were, and what happened."""
        s, told = self._held(lease), list[Told]()
        if s.arrival is None or s.arrival[0] != attempt:
            counts = s.state == "away" or load not in ("", s.load)
            if counts:
                self._return(s, told)
            s.state, s.last_seen, s.place = "live", self.now, next(self._places)
            s.arrival, s.agent_by, s.load = (attempt, counts), 0, load or s.load
        return s.arrival[1], s.returns, told

    def leave(self, lease: Lease) -> list[Told]:
        """Answer what happened."""
        s, told = self._held(lease), list[Told]()
        if s.state == "live":
            visit = self.now - (self.now if s.here_since is None else s.here_since)
            told.append(("participant_left", s.id, visit))
            s.state, s.here_since, s.last_seen = "away", None, self.now
            s.window_until, s.place = self.now + s.window(), next(self._places)
        return told

    def append(self, lease: Lease, first: int, follows: bool, turns: list[bytes]) -> int:  # noqa: FBT001
        """Answer the newest number; ``follows``: the tag before is that of the newest turn."""
        s = self._held(lease)
        if first > len(s.turns) + 1:
            raise Refused("SequenceGap", len(s.turns))
        there = s.turns[first - 1 :]
        same = turns[: len(there)] == there[: len(turns)] if there else follows or not s.turns
        trimmed = first + len(turns) - 1 <= len(s.turns) - MAX_TURNS
        if first < s.first_own or not (same or trimmed):
            raise Refused("WriteConflict", len(s.turns))
        fresh = turns[len(there) :]
        if fresh:
            s.turns += fresh
            s.last_seen = self.now
        return len(s.turns)

    def append_late(self, lease: Lease, first: int, turns: list[bytes]) -> int:
        """Answer how many were not there."""
        s = self._session(lease.who, lease.session, lease.data_key)
        fresh = {
            (lease.fence, seq): turn
            for seq, turn in enumerate(turns, first)
            if seq > len(s.turns) - len(s.kept)
            and s.turns[seq - 1 : seq] != [turn]
            and (lease.fence, seq) not in s.late
        }
        s.late = dict(sorted({**s.late, **fresh}.items())[-MAX_TURNS:])
        return len(fresh)

    def update(self, lease: Lease, version: int, content: bytes, witness: int) -> int:
        """Answer the version."""
        return self._write(self._held(lease), version, content, witness)

    def edit(self, lease: Lease, version: int, content: bytes, witness: int) -> int:
        """Answer the version; only the data key of the lease counts."""
        s = self._session(lease.who, lease.session, lease.data_key)
        return self._write(s, version, content, witness)

    def renew(self, lease: Lease) -> None:
        """Extend."""
        s = self._held(lease)
        s.lease_until = self.now + LEASE_S
        if s.state == "live":
            s.last_seen = self.now

    def release(self, lease: Lease) -> None:
        """Give back."""
        s = self._held(lease)
        s.holder, s.lease_until = "", 0

    def expect_agent(self, who: str, session: str, *, claim: bool) -> str:
        """Answer whether there is one."""
        s = self.find(who, session)
        if s is None:
            return "GONE"
        return "ENDED" if s.state == "ended" else self._claim(s, claim=claim)

    def give_back_claim(self, who: str, session: str) -> None:
        """Expect nobody."""
        s = self.find(who, session)
        if s is not None and s.state != "ended":
            s.agent_by = 0

    def close(self, who: str, session: str) -> list[Told]:
        """Answer what happened."""
        s, told = self.find(who, session), list[Told]()
        if s is not None and s.state != "ended":
            self._end(s, told)
        return told

    def delete(self, who: str, session: str) -> list[Told]:
        """Answer what happened."""
        if self.find(who, session) is None:
            return []
        del self.people[who].sessions[session]
        return [("erased", session, 0)]

    def erase(self, who: str) -> tuple[int, list[Told]]:
        """Answer how many sessions went, and what happened."""
        person = self.people.pop(who, None)
        return (len(person.sessions), [("erased", "", 0)]) if person else (0, [])

    def set_retention(self, who: str, keeps_s: int | None) -> bool:
        """Answer whether there is such a participant."""
        if who in self.people:
            self.people[who].keeps_s = keeps_s or RETENTION_S
        return who in self.people

    def settle(self, who: str, session: str) -> tuple[str, list[Told]]:
        """Answer what was due."""
        s, told, outcome = self.find(who, session), list[Told](), "LATER"
        if s is None:
            outcome = "GONE"
        elif self.now >= self.deadline(who, s):
            if s.state == "ended":
                outcome, told = "ERASED", self.delete(who, session)
            elif self.now > self._ends_at(who, s):
                outcome = "ENDED"
                self._end(s, told)
            else:
                outcome, s.told = "ORPHANED", s.fence
                told.append(("lease_lost", s.id, 0))
        if outcome in ("GONE", "ERASED") and who in self.people and not self.people[who].sessions:
            del self.people[who]
        return outcome, told

    def deadline(self, who: str, s: Session) -> int:
        """When there is something to do with a session, if nothing happens until then."""
        if s.state == "ended":
            return s.last_seen + self.people[who].keeps_s
        may_be_lost = s.state == "live" and s.holder != "" and s.told != s.fence
        lost_at = s.lease_until + 2 * LEASE_S
        ends_at = self._ends_at(who, s)
        return min(lost_at, ends_at) if may_be_lost else ends_at

    def find(self, who: str, session: str) -> Session | None:
        """Look a session up."""
        return self.people[who].sessions.get(session) if who in self.people else None

    def _ends_at(self, who: str, s: Session) -> int:
        kept_until = s.last_seen + self.people[who].keeps_s
        return s.ends_at() if s.state == "live" else min(s.ends_at(), kept_until)

    def _session(self, who: str, session: str, data_key: str) -> Session:
        s = self.find(who, session)
        if s is None or s.data_key != data_key:
            raise Refused("SessionGone", 0)
        return s

    def _held(self, lease: Lease) -> Session:
        s = self._session(lease.who, lease.session, lease.data_key)
        if (s.holder, s.fence) != (lease.holder, lease.fence):
            raise Refused("LeaseLost", 0)
        return s

    def _find(  # noqa: PLR0913, PLR0917 (what open and join share)
        self, who: str, wanted: str, new_id: str, data_key: str, mode: str, told: list[Told]
    ) -> tuple[Session, bool]:
        made = self.find(who, new_id)
        if made is not None and mode in ("new", "resume"):
            return made, True
        if mode in ("exact", "switch"):
            s = self.find(who, wanted)
            if s is None:
                raise Refused("SessionGone", 0)
            if not s.resumes(self.now):
                if mode == "exact":
                    raise Refused("SessionEnded", 0)
                self._end(s, told)
                s.state, s.window_until = "away", self.now + s.window()
            return s, False
        newest = self.people[who].newest_first()[:1] if who in self.people else []
        if mode == "resume" and newest and newest[0].resumes(self.now):
            return newest[0], False
        person = self.people.setdefault(who, Person(data_key))
        if len(person.sessions) >= MAX_SESSIONS:
            self._make_room(who, told)
        for s in newest if mode == "resume" else []:
            if s.id in person.sessions:
                self._end(s, told)
        window_until = self.now + WINDOWS_S[0]
        s = Session(new_id, person.data_key, self.now, window_until, next(self._places))
        person.sessions[new_id] = s
        told.append(("session_created", new_id, 0))
        return s, True

    def _make_room(self, who: str, told: list[Told]) -> None:
        oldest_first = self.people[who].newest_first()[::-1]
        ended = [s for s in oldest_first if s.state == "ended"]
        free = [s for s in oldest_first if not s.is_held(self.now)]
        if not ended + free:
            raise Refused("StoreRefused", 0)
        least_missed = (ended + free)[0]
        self._end(least_missed, told)
        told += self.delete(who, least_missed.id)

    def _end(self, s: Session, told: list[Told]) -> None:
        if s.state != "ended":
            told.append(("session_ended", s.id, self._visit(s)))
            s.state, s.here_since, s.holder, s.lease_until = "ended", None, "", 0
            s.agent_by, s.fence = 0, s.fence + 1

    def _return(self, s: Session, told: list[Told]) -> None:
        told.append(("session_resumed", s.id, self._visit(s)))
        s.returns, s.here_since = s.returns + 1, self.now

    def _visit(self, s: Session) -> int:
        return 0 if s.here_since is None else s.last_seen - s.here_since

    def _claim(self, s: Session, *, claim: bool) -> str:
        if s.holder and s.lease_until + LEASE_S > self.now:
            return "PRESENT"
        if s.agent_by > self.now:
            return "EXPECTED"
        if not claim:
            return "ABSENT"
        s.agent_by = self.now + EXPECT_S
        return "WANTED"

    def _write(self, s: Session, version: int, content: bytes, witness: int) -> int:
        if (s.version, s.content) == (version + 1, content):
            return s.version
        if s.version != version:
            raise Refused("WriteConflict", s.version)
        if len(s.turns) < witness:
            raise Refused("SequenceGap", len(s.turns))
        s.version, s.content = version + 1, content
        return s.version
