"""What a store must do, in plain Python: no fields, no expiry, no atomicity, only the rules.

Time is in seconds. A fencing token is a count of holders. Nothing is trimmed: what is kept of the
turns is their end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

LEASE_S, EXPECT_S, WINDOWS_S, RETENTION_S = 20, 20, (120, 220, 320), 3620
MAX_TURNS, MAX_SESSIONS = 4, 3
MAX_WORKS_BEFORE = 4
MAX_DEATHS, CRASH_S, SHORT_LIFE_S, COMEBACK_S, MOVED_S = 3, 60, 10, 60, 10

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
    claim: str = ""
    replaced: int = -1
    """The newest holder whose successor was claimed."""
    broken: int = -1
    """The newest holder whose lease was broken."""
    deaths: list[int] = field(default_factory=list)
    gave_up: int | None = None
    taken_at: int = 0
    hasty: int = -1
    """The newest holder who went after a short life, and left its participant there."""
    missed_at: int | None = None
    """When a participant who had been there was not found."""
    let_in: int | None = None
    """When a participant was admitted whom no job has seen yet."""
    looked_at: int | None = None
    """When it was last told that it may lack its agent."""
    scope: str = ""
    room: str = ""
    came: int = 0
    moved: tuple[str, int] | None = None
    """The room before, and when it lost the session."""
    look: bool = False
    """The participant left, and may wait in a room where the session was before."""
    turns: list[bytes] = field(default_factory=list)
    first_own: int = 1
    version: int = 0
    content: bytes | None = None
    late: dict[tuple[int, int], bytes] = field(default_factory=dict)
    load: str = ""
    outcome: str = ""
    arrival: tuple[str, bool] | None = None
    drafts: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    work: tuple[int, bytes] | None = None
    """What the program works on, and the turn with which it was recorded."""
    works_before: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def kept(self) -> list[bytes]:
        """The turns that are still there."""
        return self.turns[-MAX_TURNS:]

    def ends_at(self) -> int:
        """When its window closes."""
        until = self.window_until
        if self.state == "live":
            until = max(self.lease_until, self.last_seen) + self.window()
        return max(until, self.agent_by + self.window()) if self.agent_by else until

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

    def lacks_agent(self, now: int) -> bool:
        """Whether a participant may be there, or on the way, with no agent, and none coming."""
        held_here = self.is_held(now) and not self.is_left()
        cared_for = held_here or self.agent_by > now or self.has_given_up(now)
        return self.wants_agent(now) and not cared_for

    def is_left(self) -> bool:
        """Whether the participant may wait in another room than that of the newest job."""
        return self.look and self.state == "away"

    def is_elsewhere(self, room: str) -> bool:
        """Whether this is another room than that of the newest job."""
        return bool(room and self.room and room != self.room)

    def wants_agent(self, now: int) -> bool:
        """Whether a participant may be there, or on the way."""
        comes = self.missed_at is not None and now < self.missed_at + COMEBACK_S
        awaited = self.agent_by > 0 or self.let_in is not None or self.look
        return self.state == "live" or awaited or comes

    def has_given_up(self, now: int) -> bool:
        """Whether dispatches pause for a while."""
        return self.gave_up is not None and now < self.gave_up + CRASH_S


@dataclass
class Person:
    """A participant."""

    data_key: str
    keeps_s: int = RETENTION_S
    newest: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)

    def newest_first(self) -> list[Session]:
        """The list of sessions."""
        return sorted(self.sessions.values(), key=lambda s: -s.place)

    def newest_in(self, scope: str) -> list[Session]:
        """The newest session of a scope, if there is one; one without a scope is everybody's."""
        if scope in self.newest:
            known = self.sessions.get(self.newest[scope])
            return [known] if known else []
        newest = self.newest_first()[:1]
        return [s for s in newest if not scope or s.scope in ("", scope)]


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
        self,
        who: str,
        wanted: str,
        new_id: str,
        data_key: str,
        mode: str,
        *,
        expect: bool,
        scope: str,
    ) -> tuple[str, bool, str, list[Told]]:
        """Answer id, whether it is new, whether there is an agent, and what happened."""
        told: list[Told] = []
        s, created = self._find(who, wanted, new_id, data_key, mode, scope, told)
        s.scope = s.scope or scope
        if not created:
            s.last_seen = self.now
            self._make_newest(who, s)
            s.window_until = max(s.window_until, self.now + s.window())
        if expect and s.state != "ended":
            s.let_in = self.now
        return s.id, created, self._claim(s, claim=expect), told

    def join(  # noqa: PLR0913, PLR0917 (what join can be asked)
        self,
        who: str,
        wanted: str,
        new_id: str,
        data_key: str,
        holder: str,
        load: str,
        mode: str,
        *,
        at: tuple[str, int],
        scope: str,
    ) -> tuple[Lease, str, list[Told]]:
        """Answer the lease, the outcome, and what happened; ``at``: the room, and since when."""
        told: list[Told] = []
        s, _ = self._find(who, wanted, new_id, data_key, mode, scope, told)
        if s.holder != holder:
            moves = s.is_elsewhere(at[0])
            if s.is_held(self.now):
                if not (moves and self._may_take(s, at)):
                    raise Refused("LeaseHeld", 0)
                told.append(("lease_lost", s.id, 0))
            s.scope = s.scope or scope
            if s.state == "new":
                s.outcome, s.here_since = "created", self.now
            elif s.state == "away" or moves or load not in ("", s.load):
                s.outcome = "rejoined"
                self._return(s, told)
            else:
                lost = s.holder or s.broken == s.fence
                s.outcome = "taken_over" if lost else "handed_over"
                told.append(("takeover" if lost else "handoff", s.id, 0))
            s.state, s.holder, s.fence = "live", holder, s.fence + 1
            s.lease_until, s.agent_by, s.last_seen = self.now + LEASE_S, 0, self.now
            s.gave_up = s.let_in = s.missed_at = None
            s.taken_at = self.now
            if moves:
                s.moved = s.room, self.now
            (s.room, s.came), s.look = at, False
            s.first_own, s.load = len(s.turns) + 1, load or s.load
            self._make_newest(who, s)
        return Lease(who, s.id, holder, s.fence, s.data_key), s.outcome, told

    def arrive(
        self, lease: Lease, idempotency_key: str, load: str, came: int
    ) -> tuple[bool, int, list[Told]]:
        """Answer whether it was counted, how many returns there were, and what happened."""
        s, told = self._held(lease), list[Told]()
        if s.arrival is None or s.arrival[0] != idempotency_key:
            counts = s.state == "away" or load not in ("", s.load)
            if counts:
                self._return(s, told)
            s.state, s.last_seen, s.look = "live", self.now, False
            s.came = came or s.came
            self._make_newest(lease.who, s)
            s.arrival, s.agent_by, s.load = (idempotency_key, counts), 0, load or s.load
            s.let_in = None
        return s.arrival[1], s.returns, told

    def leave(self, lease: Lease) -> list[Told]:
        """Answer what happened."""
        s, told = self._held(lease), list[Told]()
        if s.state == "live":
            self._depart(s, self.now, told)
            s.look = s.moved is not None
            s.looked_at = None if s.look else s.looked_at
            self._make_newest(lease.who, s)
        return told

    def draft(self, lease: Lease, role: str, number: int, words: bytes) -> None:
        """Keep what is being said."""
        s = self._held(lease)
        if number > s.drafts.get(role, (0, b""))[0]:
            s.drafts[role] = number, words

    def append(  # noqa: PLR0913, PLR0917 (what append can be asked)
        self,
        lease: Lease,
        first: int,
        follows: bool,  # noqa: FBT001
        turns: list[bytes],
        settles: dict[str, int],
        work: tuple[int, bytes, int | None] | None,
    ) -> int:
        """Answer the newest number; ``follows``: the tag before is that of the newest turn.

        ``work``: the number of its turn, what it is, and the one that is put aside for it.
        """
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
        for role, number in settles.items():
            if number >= s.drafts.get(role, (0, b""))[0]:
                s.drafts[role] = number, b""
        if work is not None and (s.work is None or s.work[0] < work[0]):
            if s.work is not None and s.work[0] == work[2]:
                s.works_before = [*s.works_before, s.work][:MAX_WORKS_BEFORE]
            s.work = work[:2]
        return len(s.turns)

    def append_late(
        self, lease: Lease, first: int, turns: list[bytes], work: bytes, *, apart: bool
    ) -> int:
        """Answer how many were not there; ``apart``: they cannot be. ``work``: at their end."""
        s = self._session(lease.who, lease.session, lease.data_key)
        fresh = {
            (lease.fence, seq): turn
            for seq, turn in enumerate(turns, first)
            if (apart or (seq > len(s.turns) - len(s.kept) and s.turns[seq - 1 : seq] != [turn]))
            and (lease.fence, seq) not in s.late
        }
        if work and not s.turns and s.work is None:
            s.work = 0, work
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
        if s.state == "live" and self.now < s.taken_at + SHORT_LIFE_S:
            s.hasty = s.fence
        s.holder, s.lease_until = "", 0

    def put_back(self, lease: Lease) -> None:
        """Give back what could not be opened."""
        s = self._held(lease)
        s.holder, s.lease_until, s.state, s.here_since = "", 0, "away", None

    def expect_agent(self, who: str, session: str, *, claim: bool) -> str:
        """Answer whether there is one."""
        s = self.find(who, session)
        return "GONE" if s is None else self._claim(s, claim=claim)

    def claim_orphan(  # noqa: PLR0913 (what it can be asked)
        self, who: str, session: str, dead: str, idempotency_key: str, *, absent: bool, room: str
    ) -> tuple[str, list[Told]]:
        """Return which caller dispatches a successor, and what happened."""
        s, told = self.find(who, session), list[Told]()
        if s is None or s.state == "ended":
            return "GONE" if s is None else "ENDED", told
        has_moved = s.state == "away" and s.is_elsewhere(room)
        if s.is_held(self.now) and s.holder != dead and not has_moved:
            return "PRESENT", told
        if s.agent_by > self.now:
            return "WANTED" if s.claim == idempotency_key else "EXPECTED", told
        absent = absent and not self._is_coming(s)
        if not absent and s.has_given_up(self.now):
            return "GAVE_UP", told
        if s.holder and has_moved:
            self._break(s, told)
        answer = "ABSENT" if absent else self._dispatch(s, idempotency_key)
        if s.holder:
            self._break(s, told)
        if absent:
            self._miss(s, told)
        return answer, told

    def give_back_claim(self, who: str, session: str, *, absent: bool) -> list[Told]:
        """Expect no participant; return what happened."""
        s, told = self.find(who, session), list[Told]()
        if s is not None and s.state != "ended":
            s.agent_by = 0
            if absent and not s.is_held(self.now) and not self._is_coming(s):
                self._miss(s, told)
        return told

    def close(self, who: str, session: str, lease: Lease | None = None) -> list[Told]:
        """Answer what happened; with a lease, only if it is the newest."""
        s, told = self.find(who, session), list[Told]()
        if s is not None and s.state != "ended" and (lease is None or lease.fence == s.fence):
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
        elif s.state == "ended":
            if self.now >= self.deadline(who, s):
                outcome, told = "ERASED", self.delete(who, session)
        elif self.now > self._ends_at(who, s) and not (s.state == "live" and s.is_held(self.now)):
            outcome = "ENDED"
            self._end(s, told)
        elif s.lacks_agent(self.now):
            ran_out = s.holder and not s.is_held(self.now)
            outcome, s.looked_at = "ORPHANED" if ran_out else "OVERDUE", self.now
        if outcome in ("GONE", "ERASED") and who in self.people and not self.people[who].sessions:
            del self.people[who]
        return outcome, told

    def deadline(self, who: str, s: Session) -> int:
        """When there is something to do with a session, if nothing happens until then."""
        if s.state == "ended":
            return s.last_seen + self.people[who].keeps_s
        ends_at = self._ends_at(who, s)
        if s.lacks_agent(self.now):
            again_at = self.now if s.looked_at is None else s.looked_at + LEASE_S
            return min(ends_at, max(self.now, again_at))
        if not s.wants_agent(self.now):
            return ends_at
        if s.gave_up is not None and s.has_given_up(self.now):
            return min(ends_at, s.gave_up + CRASH_S)
        late_at = s.lease_until - LEASE_S // 4
        return min(ends_at, late_at if s.is_held(self.now) else s.agent_by)

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
        self,
        who: str,
        wanted: str,
        new_id: str,
        data_key: str,
        mode: str,
        scope: str,
        told: list[Told],
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
        newest = self.people[who].newest_in(scope) if who in self.people else []
        if mode == "resume" and newest and newest[0].resumes(self.now):
            return newest[0], False
        person = self.people.setdefault(who, Person(data_key))
        if len(person.sessions) >= MAX_SESSIONS:
            self._make_room(who, told)
        for s in newest if mode == "resume" else []:
            if s.id in person.sessions:
                self._end(s, told)
        window_until = self.now + WINDOWS_S[0]
        s = Session(new_id, person.data_key, self.now, window_until, 0, scope=scope)
        person.sessions[new_id] = s
        self._make_newest(who, s)
        told.append(("session_created", new_id, 0))
        return s, True

    def _make_newest(self, who: str, s: Session) -> None:
        s.place = next(self._places)
        if s.scope:
            self.people[who].newest[s.scope] = s.id

    def _may_take(self, s: Session, at: tuple[str, int]) -> bool:
        came_later = at[1] > s.came
        is_guarded = s.moved and s.moved[0] == at[0] and self.now < s.moved[1] + MOVED_S
        return s.state == "away" or (came_later and not is_guarded)

    def _break(self, s: Session, told: list[Told]) -> None:
        told.append(("lease_lost", s.id, 0))
        s.holder, s.lease_until, s.broken = "", 0, s.fence

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
            s.gave_up = s.let_in = s.missed_at = None
            s.look = False

    def _return(self, s: Session, told: list[Told]) -> None:
        told.append(("session_resumed", s.id, self._visit(s)))
        s.returns, s.here_since = s.returns + 1, self.now

    def _visit(self, s: Session) -> int:
        return 0 if s.here_since is None else s.last_seen - s.here_since

    def _depart(self, s: Session, at: int, told: list[Told]) -> None:
        visit = at - (at if s.here_since is None else s.here_since)
        told.append(("participant_left", s.id, visit))
        s.state, s.here_since, s.last_seen = "away", None, at
        s.window_until = at + s.window()

    def _is_coming(self, s: Session) -> bool:
        return s.let_in is not None and s.let_in + EXPECT_S > self.now

    def _miss(self, s: Session, told: list[Told]) -> None:
        s.agent_by, s.let_in, s.look = 0, None, False
        if s.state == "live":
            self._depart(s, s.last_seen, told)
            s.missed_at = self.now
        if s.lacks_agent(self.now):
            s.looked_at = self.now

    def _dispatch(self, s: Session, idempotency_key: str) -> str:
        recent = [at for at in s.deaths if at + CRASH_S > self.now]
        died = s.holder or (s.state == "live" and s.hasty == s.fence)
        if died and s.replaced != s.fence:
            s.replaced = s.fence
            if len(recent) == MAX_DEATHS:
                s.gave_up, s.agent_by = self.now, 0
                return "GAVE_UP"
            recent.append(self.now)
        s.replaced, s.deaths, s.gave_up = s.fence, recent, None
        s.agent_by, s.claim = self.now + EXPECT_S, idempotency_key
        return "WANTED"

    def _claim(self, s: Session, *, claim: bool) -> str:
        if s.state == "ended":
            return "ENDED"
        if s.holder and s.lease_until + LEASE_S > self.now:
            return "PRESENT"
        if s.agent_by > self.now:
            return "EXPECTED"
        if s.has_given_up(self.now):
            return "GAVE_UP"
        return self._dispatch(s, "") if claim else "ABSENT"

    def _write(self, s: Session, version: int, content: bytes, witness: int) -> int:
        if (s.version, s.content) == (version + 1, content):
            return s.version
        if s.version != version:
            raise Refused("WriteConflict", s.version)
        if len(s.turns) < witness:
            raise Refused("SequenceGap", len(s.turns))
        s.version, s.content = version + 1, content
        return s.version
