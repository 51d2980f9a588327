"""Sessions in the memory of this process: for tests, and for a demo without Redis.

It gives the same answers as ``RedisBackend``, with the same checks in the same order. It serves
one event loop of one process. No other process sees its sessions, and they end with the process.
Operations do not await in the middle, which makes each of them atomic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from session_store.backends.memory.people import MemoryPeople
from session_store.backends.values import (
    AgentPresence,
    ArrivalAnswer,
    Erased,
    FoundSession,
    JoinOutcome,
    LeaveAnswer,
    OpenMode,
    SealedWork,
    SessionRef,
    SettleAnswer,
    SettleOutcome,
    StoredPage,
)
from session_store.errors import (
    InvalidValue,
    SequenceGap,
    SessionGone,
    WriteConflict,
)
from session_store.events import EventType
from session_store.keys import shard_of
from session_store.sealing.data_key import tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.backends.memory.operation import Operation
    from session_store.backends.memory.records import SessionRecord
    from session_store.backends.memory.side import MemorySide
    from session_store.backends.values import (
        Candidate,
        JoinAttempt,
        LateTurn,
        LeaseRef,
        SealedDraft,
        StoredSession,
    )
    from session_store.events import Event
    from session_store.meter import Meter
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer


class MemoryBackend(MemoryPeople):
    """``Backend`` in plain Python."""

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Make an empty backend."""
        return cls(settings)

    @property
    @override
    def side(self) -> MemorySide:
        return self._side

    @override
    def measure(self, meter: Meter) -> None:
        pass  # A call takes no time here.

    @override
    def trace(self, tracer: Tracer | None) -> None:
        pass  # There is no server to ask.

    @override
    async def ping(self) -> None:
        pass  # It is always there.

    @override
    async def aclose(self) -> None:
        pass  # It opens nothing.

    @override
    async def open(
        self,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        *,
        mode: OpenMode,
        expect_agent: bool,
        scope: str = "",
    ) -> tuple[FoundSession, AgentPresence]:
        op = self._begin(participant)
        record, created = op.find(wanted, candidate, mode=mode, exact=False, scope=scope)
        record.scope = record.scope or scope
        if not created:
            op.see(record)
            window_until = op.now + self._rules.window_ms(record.reconnect_count)
            record.window_until = max(record.window_until, window_until)
            op.look_by(record, window_until)
        if expect_agent and record.state != "ended":
            record.let_in = op.now
        agent = op.claim_dispatch(record, claim=expect_agent)
        if expect_agent and agent is AgentPresence.PRESENT:
            op.look_by(record, op.now)  # Its job may be dead already.
        found = self._found(op, record, created=created)
        return replace(found, session=_without_work(found.session)), agent

    @override
    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[FoundSession, JoinOutcome]:
        op = self._begin(participant)
        record, created = op.find(
            wanted, candidate, mode=OpenMode.RESUME, exact=attempt.exact, scope=attempt.scope
        )
        if record.owner != attempt.owner:
            if (held := op.held_for(record, attempt)) is not None:
                raise held
            op.take_lease(record, attempt)
        found = self._found(op, record, created=created)
        return replace(found, mark=self.memory.mark), JoinOutcome(record.outcome)

    @override
    async def arrive(
        self, lease: LeaseRef, idempotency_key: str, load: str, *, came_ms: int = 0
    ) -> ArrivalAnswer:
        op = self._begin(lease.participant)
        record = op.held(lease)
        if record.arrival != idempotency_key:
            record.counted = record.state == "away" or load not in ("", record.load)
            if record.counted:
                op.count_return(record)
            record.state = "live"
            op.see(record)
            record.arrival = idempotency_key
            record.agent_by = record.let_in = record.away_at = 0
            record.look, record.came = False, came_ms or record.came
            record.load = load or record.load
            op.look_by(record, op.now)
        op.touch(record)
        return ArrivalAnswer(record.counted, record.reconnect_count, self._told(op))

    @override
    async def leave(self, lease: LeaseRef) -> LeaveAnswer:
        op = self._begin(lease.participant)
        record = op.held(lease)
        if record.state == "live":
            visit_ms = record.depart(op.now, self._rules)
            op.see(record)
            record.look = record.moved_from != ""
            op.look_by(record, op.now if record.look else record.window_until)
            op.tell(EventType.PARTICIPANT_LEFT, record.id, visit_ms=visit_ms)
        op.touch(record)
        return LeaveAnswer(record.window_until, self._told(op))

    @override
    async def append(
        self,
        lease: LeaseRef,
        first_seq: int,
        tag_before: bytes,
        sealed: Sequence[bytes],
        settles: Mapping[str, int] | None = None,
        *,
        work: SealedWork | None = None,
    ) -> int:
        op = self._begin(lease.participant)
        record = op.held(lease)
        if first_seq > record.seq + 1:
            raise SequenceGap(record.id, record.seq)
        if first_seq < record.epoch_start:
            raise WriteConflict(record.id, record.seq)
        there = record.seq - first_seq + 1
        if there >= len(sealed):
            last = record.tag_at(first_seq + len(sealed) - 1)
            if sealed and last not in (b"", tag_of(sealed[-1])):
                raise WriteConflict(record.id, record.seq)
            record.settle_drafts(settles)
            record.keep_work(work)
            op.touch(record)
            return record.seq
        if there > 0:
            tag_before = tag_of(sealed[there - 1])
        newest = tag_of(record.turns[-1]) if record.turns else record.head
        if record.seq > 0 and newest != tag_before:
            raise WriteConflict(record.id, record.seq)
        record.turns += sealed[there:]
        record.seq += len(sealed) - there
        record.last_seen = op.now
        record.settle_drafts(settles)
        record.keep_work(work)
        surplus = len(record.turns) - self._rules.max_turns
        if surplus > 0:
            record.head = tag_of(record.turns[surplus - 1])
            del record.turns[:surplus]
        if self._rules.publish_turns:
            op.tell(EventType.TURN_APPENDED, record.id, seq=record.seq, turns=len(sealed) - there)
        op.touch(record)
        self._told(op)
        return record.seq

    @override
    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        self._begin(lease.participant).held(lease).keep_draft(draft)

    @override
    async def append_late(
        self,
        lease: LeaseRef,
        turns: Sequence[LateTurn],
        *,
        apart: bool = False,
        work: bytes = b"",
    ) -> int:
        op = self._begin(lease.participant)
        record = op.session(lease.session_id)
        if record is None or record.data_key_id != lease.data_key_id:
            raise SessionGone(lease.session_id)
        late = dict(record.late)
        for turn in turns:
            # A turn of the record lost only its answer. An older one was trimmed.
            place = turn.seq - (record.seq - len(record.turns) + 1)
            there = place < 0 or record.turns[place : place + 1] == [turn.sealed]
            if apart or not there:
                late.setdefault((turn.fence, turn.seq), turn)
        kept = len(late) - len(record.late)
        record.late = dict(sorted(late.items())[-self._rules.max_turns :])
        if work and record.seq == 0:
            record.keep_work(SealedWork(0, work))
        op.touch(record)
        return kept

    @override
    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        op = self._begin(lease.participant)
        return self._write_content(op, op.held(lease), version, content, witness_seq)

    @override
    async def edit(
        self,
        participant: str,
        session_id: str,
        data_key_id: str,
        version: int,
        content: bytes,
        *,
        witness_seq: int,
    ) -> int:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is None or record.data_key_id != data_key_id:
            raise SessionGone(session_id)
        return self._write_content(op, record, version, content, witness_seq)

    def _write_content(
        self, op: Operation, record: SessionRecord, version: int, content: bytes, witness_seq: int
    ) -> int:
        if record.version == version + 1 and record.content == content:
            op.touch(record)
            return record.version
        if record.version != version:
            raise WriteConflict(record.id, record.version)
        if record.seq < witness_seq:
            raise SequenceGap(record.id, record.seq)
        record.version += 1
        record.content = content
        op.touch(record)
        return record.version

    @override
    async def renew(self, lease: LeaseRef) -> None:
        op = self._begin(lease.participant)
        record = op.held(lease)
        record.lease_ms = self._rules.lease_ms
        record.lease_until = op.now + self._rules.lease_ms
        if record.state == "live":
            record.last_seen = op.now
        op.touch(record)

    @override
    async def release(self, lease: LeaseRef) -> None:
        op = self._begin(lease.participant)
        record = op.held(lease)
        record.give_back(op.now)
        if record.state == "live" or record.let_in:
            op.look_by(record, op.now)  # Its participant needs another job.

    @override
    async def put_back(self, lease: LeaseRef) -> None:
        op = self._begin(lease.participant)
        record = op.held(lease)
        record.owner, record.lease_until = "", 0
        record.state, record.arrived_at = "away", 0
        op.look_by(record, max(op.now, record.window_until) + 1)

    @override
    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        op = self._begin(participant)
        record = op.session(session_id)
        return AgentPresence.GONE if record is None else op.claim_dispatch(record, claim=claim)

    @override
    async def claim_orphan(
        self,
        participant: str,
        session_id: str,
        *,
        owner: str,
        idempotency_key: str,
        absent: bool = False,
        room: str = "",
    ) -> tuple[AgentPresence, Sequence[Event]]:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is None:
            return AgentPresence.GONE, ()
        answer = op.claim_orphan(record, owner, idempotency_key, absent=absent, room=room)
        return answer, self._told(op)

    @override
    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> Sequence[Event]:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is not None and record.state != "ended":
            op.give_back_claim(record, absent=absent)
        return self._told(op)

    @override
    async def load(
        self, participant: str, session_id: str, *, last: int | None, work: bool = True
    ) -> StoredSession | None:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is None:
            return None
        stored = op.stored(record, last=last)
        return stored if work else _without_work(stored)

    @override
    async def sessions(
        self,
        participant: str,
        *,
        offset: int,
        limit: int,
        known: Sequence[str] = (),
    ) -> StoredPage:
        if offset < 0 or limit < 0:
            raise InvalidValue("a page begins at 0 or later and has 0 sessions or more")
        op = self._begin(participant)
        if op.person is None:
            return StoredPage(0, ())
        page = op.person.newest_first()[offset : offset + limit]
        return StoredPage(
            len(op.person.sessions),
            [replace(_without_work(op.stored(record)), turns=()) for record in page],
        )

    @override
    async def close(self, participant: str, session_id: str, *, fence: str = "") -> Sequence[Event]:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is not None and fence in {"", str(record.fence)} and op.end(record, op.now):
            op.look_by(record, record.kept_until(self._rules))
        return self._told(op)

    @override
    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is not None:
            op.erase(record)
            if op.person is not None and not op.person.sessions:
                op.let_go_soon()
        return self._told(op)

    @override
    async def erase(
        self,
        participant: str,
        kek_id: str,
        known: Sequence[str],
    ) -> Erased:
        op = self._begin(participant)
        self.memory.erased[participant] = op.now
        if op.person is None:
            return Erased(0, 0, ())
        sessions = list(op.person.sessions)
        op.forget_person()
        for session_id in sessions:
            op.forget_due(session_id)
        op.tell(EventType.ERASED)
        return Erased(len(sessions), 0, self._told(op))

    @override
    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        now = self._clock()
        by_shard: dict[int, list[tuple[int, SessionRef]]] = {shard: [] for shard in shards}
        for name, deadline in self.memory.due.items():
            listed = by_shard.get(shard_of(name.participant))
            if listed is not None and deadline <= now:
                listed.append((deadline, name))
        return [name for listed in by_shard.values() for _, name in sorted(listed)[:limit]]

    @override
    async def settle(self, participant: str, session_id: str) -> SettleAnswer:
        op = self._begin(participant)
        record = op.session(session_id)
        if record is None:
            op.forget_due(session_id)
            outcome, deadline = SettleOutcome.GONE, 0
        else:
            outcome, deadline = op.settle(record)
            if outcome is SettleOutcome.ERASED:
                op.erase(record)
            else:
                op.look_again(record, deadline)
        if not deadline and op.person is not None and not op.person.sessions:
            op.forget_person()
        return SettleAnswer(outcome, deadline, self._told(op))

    def _found(self, op: Operation, record: SessionRecord, *, created: bool) -> FoundSession:
        op.touch(record)
        return FoundSession(op.stored(record), created, self._told(op))


def _without_work(stored: StoredSession) -> StoredSession:
    return replace(stored, work=None, works_before=())
