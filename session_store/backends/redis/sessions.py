"""Sessions in Redis: one script per operation, every key declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from session_store.backends.redis.calls import (
    RedisCalls,
    all_of,
    begin_of_event,
    proof,
    record_of,
    refusal,
)
from session_store.backends.redis.replies import events_in, found_in, session_in, words
from session_store.backends.values import (
    AgentPresence,
    ArrivalAnswer,
    Erased,
    FoundSession,
    JoinOutcome,
    LeaveAnswer,
    OpenMode,
    StoredPage,
)
from session_store.errors import InvalidValue, LeaseHeld, SessionEnded, SessionGone, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.backends.redis.calls import Declaration
    from session_store.backends.transport.call import Argument
    from session_store.backends.values import (
        Candidate,
        JoinAttempt,
        LateTurn,
        LeaseRef,
        SealedDraft,
        SealedWork,
        StoredSession,
    )
    from session_store.events import Event


class RedisSessions(RedisCalls):
    """The operations on sessions."""

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
        expect_ms = self._expect_ms if expect_agent else 0
        args = (scope, mode.value, expect_ms, self._lease_ms)
        reply = await self._find("open", participant, wanted, candidate, args)
        return found_in(reply), AgentPresence(reply[3].decode())

    @override
    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[FoundSession, JoinOutcome]:
        mode = "exact" if attempt.exact else "resume"
        args = (
            attempt.scope,
            mode,
            attempt.owner,
            attempt.load,
            self._lease_ms,
            attempt.room,
            attempt.came_ms,
        )
        reply = await self._find("join", participant, wanted, candidate, args)
        return found_in(reply), JoinOutcome(reply[3].decode())

    @override
    async def arrive(
        self, lease: LeaseRef, idempotency_key: str, load: str, *, came_ms: int = 0
    ) -> ArrivalAnswer:
        keys = self._space.participant(lease.participant)
        reply = await self._write(
            "arrive",
            lease,
            all_of(keys, lease.session_id),
            (
                lease.participant,
                lease.session_id,
                *proof(lease),
                idempotency_key,
                load,
                self._retention_ms,
                came_ms,
            ),
        )
        return ArrivalAnswer(reply[1] == b"1", int(reply[2]), events_in(reply[3]))

    @override
    async def leave(self, lease: LeaseRef) -> LeaveAnswer:
        keys = self._space.participant(lease.participant)
        names = (lease.participant, lease.session_id)
        reply = await self._write(
            "leave",
            lease,
            all_of(keys, lease.session_id),
            (*names, *proof(lease), self._retention_ms, *self._windows),
        )
        return LeaveAnswer(int(reply[1]), events_in(reply[2]))

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
        keys = self._space.participant(lease.participant)
        session_id = lease.session_id
        reply = await self._write(
            "append",
            lease,
            record_of(keys, session_id),
            (
                *proof(lease),
                self._retention_ms,
                self._max_turns,
                first_seq,
                tag_before,
                begin_of_event(lease) if self._publish_turns else "",
                " ".join(f"{role}:{number}" for role, number in settles.items()) if settles else "",
                "" if work is None else f"{work.seq} {'-' if work.keeps is None else work.keeps}",
                *sealed,
                *(() if work is None else (work.sealed,)),
            ),
            durable=True,
        )
        return int(reply[1])

    @override
    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        key = self._space.participant(lease.participant).session(lease.session_id)
        await self._write("draft", lease, (key,), (*proof(lease), *draft))

    @override
    async def append_late(
        self,
        lease: LeaseRef,
        turns: Sequence[LateTurn],
        *,
        apart: bool = False,
        work: bytes = b"",
    ) -> int:
        keys = self._space.participant(lease.participant)
        args: list[Argument] = [
            lease.data_key_id,
            self._retention_ms,
            self._max_turns,
            int(apart),
            work,
        ]
        for turn in turns:
            args += turn
        session_id = lease.session_id
        touched = record_of(keys, session_id)
        reply = await self._write("append_late", lease, touched, args, durable=True)
        return int(reply[1])

    @override
    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        keys = self._space.participant(lease.participant)
        reply = await self._write(
            "update",
            lease,
            record_of(keys, lease.session_id),
            (*proof(lease), self._retention_ms, version, content, witness_seq),
            durable=True,
        )
        return int(reply[1])

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
        keys = self._space.participant(participant)
        args = ("", "", data_key_id, self._retention_ms, version, content, witness_seq)
        touched = record_of(keys, session_id)
        reply = await self._run("update", touched, args, durable=True)
        if reply[0] != b"OK":
            raise refusal(reply[0], reply, session_id, "0")
        return int(reply[1])

    @override
    async def renew(self, lease: LeaseRef) -> None:
        keys = self._space.participant(lease.participant)
        touched = (
            keys.session(lease.session_id),
            keys.turns(lease.session_id),
            keys.data_key,
            keys.sessions,
            keys.due,
        )
        await self._write(
            "renew", lease, touched, (*proof(lease), self._retention_ms, self._lease_ms)
        )

    @override
    async def release(self, lease: LeaseRef) -> None:
        keys = self._space.participant(lease.participant)
        touched = (keys.session(lease.session_id), keys.due)
        names = (lease.participant, lease.session_id)
        await self._write("release", lease, touched, (*names, *proof(lease)))

    @override
    async def put_back(self, lease: LeaseRef) -> None:
        keys = self._space.participant(lease.participant)
        touched = (keys.session(lease.session_id), keys.due)
        names = (lease.participant, lease.session_id)
        await self._write("put_back", lease, touched, (*names, *proof(lease)))

    @override
    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        keys = self._space.participant(participant)
        args = (participant, session_id, self._expect_ms if claim else 0, self._lease_ms)
        reply = await self._run("expect", (keys.session(session_id), keys.due), args)
        return AgentPresence(reply[0].decode())

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
        keys = self._space.participant(participant)
        args = (
            participant,
            session_id,
            owner,
            idempotency_key,
            self._expect_ms,
            int(absent),
            self._lease_ms,
            self._retention_ms,
            *self._windows,
            room,
        )
        reply = await self._run("claim_orphan", (keys.session(session_id), keys.due), args)
        return AgentPresence(reply[0].decode()), events_in(reply[1])

    @override
    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> Sequence[Event]:
        keys = self._space.participant(participant)
        args = (
            participant,
            session_id,
            self._expect_ms,
            int(absent),
            self._lease_ms,
            self._retention_ms,
            *self._windows,
        )
        reply = await self._run("give_back", (keys.session(session_id), keys.due), args)
        return events_in(reply[1])

    @override
    async def load(
        self, participant: str, session_id: str, *, last: int | None, work: bool = True
    ) -> StoredSession | None:
        keys = self._space.participant(participant)
        touched = (keys.data_key, keys.session(session_id), keys.turns(session_id))
        reply = await self._run("load", touched, ("" if last is None else last, int(work)))
        if reply[0] == b"GONE":
            return None
        _, now, dkid, kek_id, wrapped, head, size, *rest = reply
        data_key, flat, turns = (dkid, kek_id, wrapped), rest[:size], rest[size:]
        return session_in(session_id, now, data_key, flat, turns, head)

    @override
    async def sessions(
        self, participant: str, *, offset: int, limit: int, known: Sequence[str] = ()
    ) -> StoredPage:
        keys = self._space.participant(participant)
        if offset < 0 or limit < 0:
            raise InvalidValue("a page begins at 0 or later and has 0 sessions or more")

        async def declare(ids: Sequence[str]) -> Declaration:
            declared = (keys.data_key, keys.sessions, *map(keys.session, ids))
            return declared, (offset, limit, *ids)

        _, reply = await self._look("list", participant, known, declare)
        _, now, total, data_key, *rest = reply
        found = zip(words(rest[::2]), rest[1::2], strict=True)
        return StoredPage(
            int(total),
            # A hash that has expired is empty; the sweeper removes its id.
            [
                session_in(session_id, now, data_key, flat, (), listed=True)
                for session_id, flat in found
                if flat
            ],
        )

    @override
    async def close(self, participant: str, session_id: str, *, fence: str = "") -> Sequence[Event]:
        keys = self._space.participant(participant)
        args = (participant, session_id, self._retention_ms, fence)
        reply = await self._run("close", (keys.session(session_id), keys.due), args)
        return events_in(reply[1])

    @override
    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        keys = self._space.participant(participant)
        touched = (keys.sessions, keys.due, keys.session(session_id), keys.turns(session_id))
        reply = await self._run("delete", touched, (participant, session_id), durable=True)
        return events_in(reply[1])

    @override
    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> Erased:
        keys = self._space.participant(participant)

        async def declare(ids: Sequence[str]) -> Declaration:
            kek_id, *sessions = ids
            declared = [keys.data_key, keys.sessions, keys.due, keys.kek(kek_id), keys.erased]
            for session_id in sessions:
                declared += [keys.session(session_id), keys.turns(session_id)]
            return declared, (participant, kek_id, *sessions)

        guess = (kek_id, *known)
        _, reply = await self._look("erase", participant, guess, declare, durable=True)
        return Erased(int(reply[1]), int(reply[2]), events_in(reply[3]))

    async def _least_missed(self, participant: str) -> str:
        """Choose the session that makes room for another one: the oldest that has ended.

        If none has ended, it is the oldest one that no job holds.

        Raises:
            StoreRefused: jobs hold all of them.
        """
        keys = self._space.participant(participant)
        ids = words(await self._transport.execute(keys.sessions, "ZRANGE", keys.sessions, 0, -1))
        commands = [
            (key, ("HMGET", key, "state", "owner", "lease_until")) for key in map(keys.session, ids)
        ]
        now = await self._transport.clock_ms(keys.sessions)
        unheld = []
        lives = await self._transport.execute_many(commands)
        for session_id, (state, owner, until) in zip(ids, lives, strict=True):
            if state in (None, b"ended"):
                return session_id
            if not owner or int(until or 0) < now:
                unheld.append(session_id)
        if not unheld:
            raise StoreRefused(
                f"participant {participant} has as many sessions as REJOIN_MAX_SESSIONS, all in use"
            )
        return unheld[0]

    async def _find(
        self,
        name: str,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        args: Sequence[Argument],
    ) -> list[Any]:
        """Run ``open`` or ``join``, and turn its refusals into errors."""
        keys = self._space.participant(participant)
        new_id, wrapped = candidate.session_id, candidate.wrapped

        async def declare(ids: Sequence[str]) -> Declaration:
            wanted, kek_id, evicted = ids
            if evicted == "*":
                evicted = await self._least_missed(participant)
            declared = [
                keys.data_key,
                keys.sessions,
                keys.due,
                keys.kek(kek_id),
                keys.session(wanted or new_id),
                keys.turns(wanted or new_id),
                keys.session(new_id),
                keys.turns(new_id),
                keys.mark,
            ]
            if evicted:
                declared += [keys.session(evicted), keys.turns(evicted)]
            return declared, (
                participant,
                wanted,
                new_id,
                wrapped.data_key_id,
                wrapped.kek_id,
                wrapped.wrapped,
                self._retention_ms,
                *self._windows,
                kek_id,
                self._max_sessions,
                evicted,
                *args,
            )

        guess = (wanted or "", wrapped.kek_id, "")
        ids, reply = await self._look(name, participant, guess, declare)
        match reply[0]:
            case b"OK":
                return reply
            case b"HELD":
                raise LeaseHeld(ids[0] or new_id, int(reply[1]), has_moved=reply[2] == b"1")
            case b"ENDED":
                raise SessionEnded(ids[0])
            case _:
                raise SessionGone(ids[0])
