"""One operation of a ``MemoryBackend``: the steps on sessions that operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.backends.memory.records import Person, SessionRecord, is_ahead
from session_store.backends.values import (
    AgentPresence,
    JoinOutcome,
    OpenMode,
    SessionRef,
    SettleOutcome,
)
from session_store.errors import LeaseHeld, LeaseLost, SessionEnded, SessionGone, StoreRefused
from session_store.events import Event, EventType
from session_store.keys import NO_TAKING_BACK, shard_of

if TYPE_CHECKING:
    from session_store.backends.memory.records import Memory, Rules
    from session_store.backends.values import Candidate, JoinAttempt, LeaseRef, StoredSession


_MOVED_MS = round(NO_TAKING_BACK.total_seconds() * 1000)


class Operation:
    """One operation on one participant, at one moment.

    It checks before its first write, so a refused operation has changed nothing.
    """

    def __init__(self, memory: Memory, rules: Rules, participant: str, now: int) -> None:
        shard_of(participant)  # Raises if it is not a pseudonym.
        self._memory = memory
        self._rules = rules
        self._participant = participant
        self.now = now
        self.events: list[Event] = []
        """The events of this operation, in order."""
        self.person = memory.person(participant, now)

    def tell(self, event: EventType, session_id: str = "", **numbers: int) -> None:
        """Add an event to this operation."""
        self.events.append(
            Event(
                type=event,
                at=self.now,
                participant=self._participant,
                session_id=session_id,
                **numbers,
            )
        )

    def session(self, session_id: str) -> SessionRecord | None:
        """Return a session of this participant."""
        return None if self.person is None else self.person.sessions.get(session_id)

    def stored(self, record: SessionRecord, *, last: int | None = None) -> StoredSession:
        """Return a session as a backend answers it, with its ``last`` turns, or all."""
        wrapped = self._memory.people[self._participant].wrapped
        return record.stored(wrapped, self.now, last=last)

    def held(self, lease: LeaseRef) -> SessionRecord:
        """Return the session that a lease is for.

        An expired lease is valid until another job takes it: the fencing token decides.

        Raises:
            SessionGone: it was erased, and perhaps created again under another data key.
            LeaseLost: another job has taken the lease.
        """
        record = self.session(lease.session_id)
        if record is None or record.data_key_id != lease.data_key_id:
            raise SessionGone(lease.session_id)
        shown, held = (lease.owner, lease.fence), (record.owner, str(record.fence))
        if shown != held or not lease.owner:
            raise LeaseLost(lease.session_id, int(lease.fence))
        return record

    def see(self, record: SessionRecord) -> None:
        """Note that the participant was seen in this session: it is the newest from now on.

        This holds also among sessions of the same millisecond, and after the clock went back.
        """
        others = self.person.sessions.values() if self.person else ()
        newest = max((other.listed_at for other in others if other is not record), default=0)
        record.last_seen = self.now
        record.listed_at = max(self.now, newest + 1)
        if record.scope and self.person:
            self.person.newest[record.scope] = record.id

    def touch(self, *records: SessionRecord) -> None:
        """Begin the lifetime of what was written again."""
        if self.person is not None:
            self.person.touch(self.now, self._rules, *records)

    def look_by(self, record: SessionRecord, deadline: int) -> None:
        """Make sure that a sweeper looks at a session by this time."""
        name = SessionRef(self._participant, record.id)
        deadline = min(deadline, record.kept_until(self._rules))
        self._memory.due[name] = min(deadline, self._memory.due.get(name, deadline))

    def let_go_soon(self) -> None:
        """Let a sweeper look at a participant without sessions, under an empty session id."""
        self._memory.due[SessionRef(self._participant, "")] = self.now

    def look_again(self, record: SessionRecord, deadline: int) -> None:
        """Set the time at which a sweeper looks at a session next."""
        self._memory.due[SessionRef(self._participant, record.id)] = deadline

    def forget_due(self, session_id: str) -> None:
        """Remove a session from those that sweepers look at."""
        self._memory.due.pop(SessionRef(self._participant, session_id), None)

    def find(
        self,
        wanted: str | None,
        candidate: Candidate,
        *,
        mode: OpenMode,
        exact: bool,
        scope: str = "",
    ) -> tuple[SessionRecord, bool]:
        """Return the session that goes on, or a new one, and whether it is new.

        Raises:
            SessionGone: ``exact`` or ``SWITCH`` wants a session that does not exist.
            SessionEnded: ``exact`` wants a session whose resume window has passed.
            StoreRefused: the participant has as many sessions as allowed, and jobs hold all.
        """
        made = self.session(candidate.session_id)
        if made is not None and not exact and mode is not OpenMode.SWITCH:
            return made, True  # This very call made it; its answer was lost.
        if mode is OpenMode.NEW:
            return self._create(candidate, scope), True
        if exact or mode is OpenMode.SWITCH:
            record = self.session(wanted or "")
            if record is None:
                raise SessionGone(wanted or "")
            if not record.may_resume(self.now, self._rules):
                if exact:
                    raise SessionEnded(record.id)
                self._revive(record)
            return record, False
        newest = self._newest(scope)
        if newest is not None and newest.may_resume(self.now, self._rules):
            return newest, False
        return self._create(candidate, scope, instead_of=newest), True

    def _newest(self, scope: str) -> SessionRecord | None:
        """Return the newest session of a scope; only sessions of earlier versions have none."""
        if self.person is None:
            return None
        if scope in self.person.newest:
            return self.person.sessions.get(self.person.newest[scope])
        newest = self.person.newest_first()[:1]
        return newest[0] if newest and (not scope or newest[0].scope in {"", scope}) else None

    def end(self, record: SessionRecord, ended_at: int) -> bool:
        """End a session and take its lease away. False, and a no-op, if it had ended already."""
        if record.state == "ended":
            return False
        visit_ms = record.close_visit(record.last_seen)
        record.state = "ended"
        record.ended_at = ended_at
        record.fence = max(record.fence + 1, self.now)
        record.owner = ""
        record.lease_until = 0
        record.agent_by = record.gave_up = record.let_in = record.left_at = 0
        record.look = False
        self.tell(EventType.SESSION_ENDED, record.id, visit_ms=visit_ms)
        return True

    def erase(self, record: SessionRecord) -> None:
        """Erase one session."""
        self.forget_due(record.id)
        if self.person is not None:
            del self.person.sessions[record.id]
        self.tell(EventType.ERASED, record.id)

    def forget_person(self) -> None:
        """Erase the participant's own record."""
        self._memory.people.pop(self._participant, None)
        self.forget_due("")
        self.person = None

    def claim_dispatch(self, record: SessionRecord, *, claim: bool) -> AgentPresence:
        """Return whether the session has an agent, and claim the dispatch if it has none.

        A lease that ran out may belong to a job that only missed a renewal. It counts for one more
        of its length, and stays valid until a successor takes it.
        """
        if record.state == "ended":
            return AgentPresence.ENDED
        if record.lease_is_live(self.now, self._rules.lease_ms):
            return AgentPresence.PRESENT
        if record.agent_is_expected(self.now):
            return AgentPresence.EXPECTED
        if record.has_given_up(self.now):
            return AgentPresence.GAVE_UP
        if not claim:
            return AgentPresence.ABSENT
        return self._dispatch(record, "")

    def claim_orphan(
        self, record: SessionRecord, owner: str, idempotency_key: str, *, absent: bool, room: str
    ) -> AgentPresence:
        """Claim the right to dispatch a successor, and break the lease of the lost job.

        Nobody died where the holder's participant has left its room and waits in another one.
        """
        if record.state == "ended":
            return AgentPresence.ENDED
        has_moved = record.state == "away" and record.is_elsewhere(room)
        if record.lease_is_live(self.now) and record.owner != owner and not has_moved:
            return AgentPresence.PRESENT
        if record.agent_is_expected(self.now):
            repeated = record.claim == idempotency_key
            return AgentPresence.WANTED if repeated else AgentPresence.EXPECTED
        absent = absent and not self._is_on_the_way(record)
        if record.has_given_up(self.now) and not absent:
            return AgentPresence.GAVE_UP
        if record.owner and has_moved:
            self._break_lease(record)
        answer = AgentPresence.ABSENT if absent else self._dispatch(record, idempotency_key)
        if record.owner:
            self._break_lease(record)
        if absent:
            self._note_absence(record)
        return answer

    def _break_lease(self, record: SessionRecord) -> None:
        record.lost, record.lost_until = record.fence, record.lease_until
        record.owner, record.lease_until = "", 0
        self.tell(EventType.LEASE_LOST, record.id)

    def give_back_claim(self, record: SessionRecord, *, absent: bool) -> None:
        """Let the next caller dispatch. ``absent``: no participant needs an agent."""
        if absent and not record.lease_is_live(self.now) and not self._is_on_the_way(record):
            self._note_absence(record)
        else:
            record.agent_by = 0
            self.look_by(record, self.now)  # Its deadline may have come nearer.

    def _is_on_the_way(self, record: SessionRecord) -> bool:
        """Return whether a participant was admitted a moment ago and may still be coming."""
        is_known = not is_ahead(record.let_in, self.now)
        return is_known and record.let_in > self.now - self._rules.expect_ms

    def _note_absence(self, record: SessionRecord) -> None:
        """Note that the participant is gone: a visit that was open ended when it was last seen."""
        record.agent_by = record.let_in = 0
        record.look = False
        if record.state == "live":
            visit_ms = record.depart(record.last_seen, self._rules)
            self.tell(EventType.PARTICIPANT_LEFT, record.id, visit_ms=visit_ms)
            record.left_at = self.now
        look_at = min(record.resume_until(self._rules), record.kept_until(self._rules)) + 1
        if record.may_come_back(self.now):
            look_at = min(look_at, self.now + self._rules.lease_ms)
        self.look_again(record, look_at)

    def take_lease(self, record: SessionRecord, attempt: JoinAttempt) -> None:
        """Give the lease to the job that joins, and count the arrival if it is one."""
        record.scope = record.scope or attempt.scope
        new_load = attempt.load not in ("", record.load)
        gap_ms = self.now - (record.away_at or record.last_seen)
        moves = record.is_elsewhere(attempt.room)
        if record.lease_is_live(self.now):
            self.tell(EventType.LEASE_LOST, record.id)
        if record.state == "new":
            outcome, gap_ms = JoinOutcome.CREATED, 0
            record.joined_at = self.now
        elif record.state == "away" or moves or new_load:
            outcome = JoinOutcome.REJOINED
            self.count_return(record)
        else:
            outcome, silent_ms = self._tell_of_successor(record)
            gap_ms = gap_ms if silent_ms is None else silent_ms
        record.arrived_at = record.arrived_at or self.now
        record.outcome, record.gap_ms = outcome.value, max(0, gap_ms)
        record.state = "live"
        record.owner = attempt.owner
        # With plain + 1, a failover to a lagging replica would give the same token twice.
        record.fence = max(record.fence + 1, self.now)
        record.lease_ms = self._rules.lease_ms
        record.lease_until = self.now + self._rules.lease_ms
        if moves:
            record.moved_from, record.moved_at = record.room, self.now
        record.room, record.came, record.look = attempt.room, attempt.came_ms, False
        record.epoch_start = record.seq + 1
        self.see(record)
        record.agent_by = record.gave_up = record.let_in = record.left_at = record.away_at = 0
        record.taken_at = self.now
        record.load = attempt.load or record.load
        self.look_by(record, record.late_from(self._rules))

    def held_for(self, record: SessionRecord, attempt: JoinAttempt) -> LeaseHeld | None:
        """Return why a lease is not given to a job; ``None`` if it is given now."""
        if not record.lease_is_live(self.now):
            return None
        lasts = LeaseHeld(record.id, record.lease_until - self.now)
        if not record.is_elsewhere(attempt.room):
            return lasts
        if record.state == "away":
            return None
        if attempt.came_ms <= record.came:
            return lasts
        guarded_ms = record.moved_at + _MOVED_MS - self.now
        if record.moved_from == attempt.room and 0 < guarded_ms <= _MOVED_MS:
            return LeaseHeld(record.id, guarded_ms, has_moved=True)
        return None

    def _tell_of_successor(self, record: SessionRecord) -> tuple[JoinOutcome, int | None]:
        """Return the outcome, and how long nothing was heard of a job that died."""
        was_broken = record.lost == record.fence
        if was_broken or record.owner:
            lost_until = record.lost_until if was_broken else record.lease_until
            silent_ms = max(0, self.now - (lost_until - self._rules.lease_ms))
            self.tell(EventType.TAKEOVER, record.id, silent_ms=silent_ms)
            return JoinOutcome.TAKEN_OVER, silent_ms
        self.tell(EventType.HANDOFF, record.id)
        return JoinOutcome.HANDED_OVER, None

    def count_return(self, record: SessionRecord) -> None:
        """Count a return: a visit without a leave ends here, and a new one begins."""
        visit_ms = record.close_visit(record.last_seen)
        record.arrived_at = self.now
        record.reconnect_count += 1
        self.tell(EventType.SESSION_RESUMED, record.id, visit_ms=visit_ms)

    def settle(self, record: SessionRecord) -> tuple[SettleOutcome, int]:
        """Do what is due, except erasing; return when to look again, 0 for never."""
        kept_until = record.kept_until(self._rules)
        ends_at = record.resume_until(self._rules)
        if record.state != "live":
            ends_at = min(ends_at, kept_until)  # A retention may be shorter than the window.
        if record.state == "ended":
            if self.now >= kept_until:
                return SettleOutcome.ERASED, 0
            return SettleOutcome.LATER, kept_until
        is_live, is_held = record.state == "live", record.lease_is_live(self.now)
        if self.now > ends_at and not (is_live and is_held):
            self.end(record, ends_at)
            return SettleOutcome.ENDED, kept_until
        outcome, look_at = SettleOutcome.LATER, ends_at + 1
        may_come = record.agent_by or record.let_in or record.look or record.may_come_back(self.now)
        if is_live or may_come:
            outcome, look_at = self._look_for_agent(record)
        return outcome, min(look_at, ends_at + 1)

    def _look_for_agent(self, record: SessionRecord) -> tuple[SettleOutcome, int]:
        """Return whether a session that needs an agent has one, and when to look again."""
        if record.has_given_up(self.now):
            return SettleOutcome.LATER, record.given_up_until()
        is_held = record.lease_is_live(self.now)
        is_left = record.look and record.state == "away" and not record.agent_is_expected(self.now)
        if is_held and is_left:
            # The holder's participant may wait in another room.
            return SettleOutcome.OVERDUE, self.now + self._rules.lease_ms
        if is_held:
            late_from = record.late_from(self._rules)
            if self.now < late_from:
                return SettleOutcome.LATER, late_from
            return SettleOutcome.LATE, record.lease_until
        if record.agent_is_expected(self.now):
            return SettleOutcome.LATER, record.agent_by
        outcome = SettleOutcome.ORPHANED if record.owner else SettleOutcome.OVERDUE
        return outcome, self.now + self._rules.lease_ms

    def _dispatch(self, record: SessionRecord, idempotency_key: str) -> AgentPresence:
        """Let the caller dispatch an agent, unless too many agents died in a row."""
        if not record.note_successor(self.now):
            return AgentPresence.GAVE_UP
        record.agent_by = self.now + self._rules.expect_ms
        record.claim, record.claimed_at = idempotency_key, self.now
        self.look_by(record, record.agent_by)
        return AgentPresence.WANTED

    def _create(
        self, candidate: Candidate, scope: str, *, instead_of: SessionRecord | None = None
    ) -> SessionRecord:
        if self.person is None:
            self.person = Person(candidate.wrapped, created=self.now)
            self._memory.people[self._participant] = self.person
        person = self.person
        if len(person.sessions) >= self._rules.max_sessions:
            self._evict(self._least_missed(person))
        if instead_of is not None and instead_of.id in person.sessions:
            self.end(instead_of, min(self.now, instead_of.resume_until(self._rules)))
            self.look_by(instead_of, instead_of.kept_until(self._rules))
        record = SessionRecord(
            candidate.session_id,
            person.wrapped.data_key_id,
            last_seen=self.now,
            window_until=self.now + self._rules.window_ms(0),
            keep_ms=person.retention_ms,
            scope=scope,
        )
        person.sessions[record.id] = record
        self.see(record)
        self.look_by(record, record.window_until)
        self.tell(EventType.SESSION_CREATED, record.id)
        return record

    def _least_missed(self, person: Person) -> SessionRecord:
        """Choose the session that makes room: the oldest ended one, else the oldest without a job.

        Raises:
            StoreRefused: jobs hold all of them.
        """
        oldest_first = person.newest_first()[::-1]
        ended = [record for record in oldest_first if record.state == "ended"]
        unheld = [record for record in oldest_first if not record.lease_is_live(self.now)]
        for record in (*ended, *unheld):
            return record
        raise StoreRefused(
            f"participant {self._participant} has as many sessions as REJOIN_MAX_SESSIONS, "
            "all in use"
        )

    def _evict(self, record: SessionRecord) -> None:
        self.end(record, self.now)
        self.erase(record)

    def _revive(self, record: SessionRecord) -> None:
        self.end(record, record.resume_until(self._rules))
        record.state = "away"
        record.ended_at = 0
        record.window_until = self.now + self._rules.window_ms(record.reconnect_count)
