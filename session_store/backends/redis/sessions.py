"""Sessions in Redis: one script per operation, every key declared."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from session_store.backends.redis.calls import (
    CALM_LOOKS,
    MAX_LOOKS,
    RedisCalls,
    proof,
    refusal,
    restless,
)
from session_store.backends.redis.replies import events_in, session_in, words
from session_store.backends.values import (
    AgentPresence,
    Arrived,
    Erased,
    Found,
    JoinOutcome,
    Left,
    OpenMode,
    StoredPage,
)
from session_store.errors import InvalidValue, LeaseHeld, SessionEnded, SessionGone, StoreRefused
from session_store.events import EVENT_VERSION, EventType
from session_store.keys import ParticipantKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.backends.transport.call import Argument
    from session_store.backends.values import (
        Candidate,
        JoinAttempt,
        LateTurn,
        LeaseRef,
        SealedDraft,
        StoredSession,
    )
    from session_store.events import Event


class RedisSessions(RedisCalls):
    """The operations on sessions. Each method: see ``Backend``."""

    async def open(
        self,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        *,
        mode: OpenMode,
        expect_agent: bool,
    ) -> tuple[Found, AgentPresence]:
        """See ``Backend.open``."""
        expect_ms = self._expect_ms if expect_agent else 0
        args = (mode.value, expect_ms, self._lease_ms)
        reply = await self._find("open", participant, wanted, candidate, args)
        return _found(reply), AgentPresence(reply[3].decode())

    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[Found, JoinOutcome]:
        """See ``Backend.join``."""
        mode = "exact" if attempt.exact else "resume"
        args = (mode, attempt.owner, attempt.load, self._lease_ms)
        reply = await self._find("join", participant, wanted, candidate, args)
        return _found(reply), JoinOutcome(reply[3].decode())

    async def arrive(self, lease: LeaseRef, idempotency_key: str, load: str) -> Arrived:
        """See ``Backend.arrive``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "arrive",
            lease,
            _all_of(keys, lease.session_id),
            (
                lease.participant,
                lease.session_id,
                *proof(lease),
                idempotency_key,
                load,
                self._retention_ms,
            ),
        )
        return Arrived(reply[1] == b"1", int(reply[2]), events_in(reply[3]))

    async def leave(self, lease: LeaseRef) -> Left:
        """See ``Backend.leave``."""
        keys = ParticipantKeys.of(lease.participant)
        who = (lease.participant, lease.session_id)
        reply = await self._write(
            "leave",
            lease,
            _all_of(keys, lease.session_id),
            (*who, *proof(lease), self._retention_ms, *self._windows),
        )
        return Left(int(reply[1]), events_in(reply[2]))

    async def append(
        self,
        lease: LeaseRef,
        first_seq: int,
        tag_before: bytes,
        sealed: Sequence[bytes],
        settles: Mapping[str, int] | None = None,
    ) -> int:
        """See ``Backend.append``."""
        keys = ParticipantKeys.of(lease.participant)
        session_id = lease.session_id
        reply = await self._write(
            "append",
            lease,
            _record_of(keys, session_id),
            (
                *proof(lease),
                self._retention_ms,
                self._max_turns,
                first_seq,
                tag_before,
                _begin_of_event(lease) if self._publish_turns else "",
                " ".join(f"{role}:{number}" for role, number in settles.items()) if settles else "",
                *sealed,
            ),
            durable=True,
        )
        return int(reply[1])

    async def draft(self, lease: LeaseRef, draft: SealedDraft) -> None:
        """See ``Backend.draft``."""
        key = ParticipantKeys.of(lease.participant).session(lease.session_id)
        await self._write("draft", lease, (key,), (*proof(lease), *draft))

    async def append_late(
        self, lease: LeaseRef, turns: Sequence[LateTurn], *, apart: bool = False
    ) -> int:
        """See ``Backend.append_late``."""
        keys = ParticipantKeys.of(lease.participant)
        args: list[Argument] = [
            lease.data_key_id,
            self._retention_ms,
            self._max_turns,
            int(apart),
        ]
        for turn in turns:
            args += turn
        session_id = lease.session_id
        touched = _record_of(keys, session_id)
        reply = await self._write("append_late", lease, touched, args, durable=True)
        return int(reply[1])

    async def update(
        self, lease: LeaseRef, version: int, content: bytes, *, witness_seq: int
    ) -> int:
        """See ``Backend.update``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "update",
            lease,
            _record_of(keys, lease.session_id),
            (*proof(lease), self._retention_ms, version, content, witness_seq),
            durable=True,
        )
        return int(reply[1])

    async def edit(  # noqa: PLR0913 (what a write must show)
        self,
        participant: str,
        session_id: str,
        data_key_id: str,
        version: int,
        content: bytes,
        *,
        witness_seq: int,
    ) -> int:
        """See ``Backend.edit``."""
        keys = ParticipantKeys.of(participant)
        args = ("", "", data_key_id, self._retention_ms, version, content, witness_seq)
        touched = _record_of(keys, session_id)
        reply = await self._run("update", touched, args, durable=True)
        if reply[0] != b"OK":
            raise refusal(reply[0], reply, session_id, "0")
        return int(reply[1])

    async def renew(self, lease: LeaseRef) -> None:
        """See ``Backend.renew``."""
        keys = ParticipantKeys.of(lease.participant)
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

    async def release(self, lease: LeaseRef) -> None:
        """See ``Backend.release``."""
        keys = ParticipantKeys.of(lease.participant)
        touched = (keys.session(lease.session_id), keys.due)
        who = (lease.participant, lease.session_id)
        await self._write("release", lease, touched, (*who, *proof(lease)))

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """See ``Backend.expect_agent``."""
        keys = ParticipantKeys.of(participant)
        args = (participant, session_id, self._expect_ms if claim else 0, self._lease_ms)
        reply = await self._run("expect", (keys.session(session_id), keys.due), args)
        return AgentPresence(reply[0].decode())

    async def claim_orphan(
        self,
        participant: str,
        session_id: str,
        *,
        owner: str,
        idempotency_key: str,
        absent: bool = False,
    ) -> tuple[AgentPresence, Sequence[Event]]:
        """See ``Backend.claim_orphan``."""
        keys = ParticipantKeys.of(participant)
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
        )
        reply = await self._run("claim_orphan", (keys.session(session_id), keys.due), args)
        return AgentPresence(reply[0].decode()), events_in(reply[1])

    async def give_back_claim(
        self, participant: str, session_id: str, *, absent: bool = False
    ) -> Sequence[Event]:
        """See ``Backend.give_back_claim``."""
        keys = ParticipantKeys.of(participant)
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

    async def load(
        self, participant: str, session_id: str, *, last: int | None
    ) -> StoredSession | None:
        """See ``Backend.load``."""
        keys = ParticipantKeys.of(participant)
        touched = (keys.data_key, keys.session(session_id), keys.turns(session_id))
        reply = await self._run("load", touched, ("" if last is None else last,))
        if reply[0] == b"GONE":
            return None
        _, now, dkid, kek_id, wrapped, head, size, *rest = reply
        data_key, flat, turns = (dkid, kek_id, wrapped), rest[:size], rest[size:]
        return session_in(session_id, now, data_key, flat, turns, head)

    async def sessions(
        self, participant: str, *, offset: int, limit: int, known: Sequence[str] = ()
    ) -> StoredPage:
        """See ``Backend.sessions``."""
        keys = ParticipantKeys.of(participant)
        if offset < 0 or limit < 0:
            raise InvalidValue("a page begins at 0 or later and has 0 sessions or more")
        ids = list(known)
        for _ in range(MAX_LOOKS):
            touched = [keys.data_key, keys.sessions, *map(keys.session, ids)]
            reply = await self._run("list", touched, (offset, limit, *ids))
            if reply[0] == b"OK":
                _, now, total, data_key, *rest = reply
                found = zip(words(rest[::2]), rest[1::2], strict=True)
                return StoredPage(
                    int(total),
                    # A hash that has expired is empty; the sweeper removes its id.
                    [
                        session_in(each, now, data_key, flat, (), listed=True)
                        for each, flat in found
                        if flat
                    ],
                )
            ids = words(reply[1:])
        raise restless(participant)

    async def close(self, participant: str, session_id: str) -> Sequence[Event]:
        """See ``Backend.close``."""
        keys = ParticipantKeys.of(participant)
        args = (participant, session_id, self._retention_ms)
        reply = await self._run("close", (keys.session(session_id), keys.due), args)
        return events_in(reply[1])

    async def delete(self, participant: str, session_id: str) -> Sequence[Event]:
        """See ``Backend.delete``."""
        keys = ParticipantKeys.of(participant)
        touched = (keys.sessions, keys.due, keys.session(session_id), keys.turns(session_id))
        reply = await self._run("delete", touched, (participant, session_id), durable=True)
        return events_in(reply[1])

    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> Erased:
        """See ``Backend.erase``."""
        keys = ParticipantKeys.of(participant)
        for _ in range(MAX_LOOKS):
            declared = [keys.data_key, keys.sessions, keys.due, keys.kek(kek_id), keys.erased]
            for session_id in known:
                declared += [keys.session(session_id), keys.turns(session_id)]
            reply = await self._run("erase", declared, (participant, kek_id, *known), durable=True)
            if reply[0] == b"OK":
                return Erased(int(reply[1]), int(reply[2]), events_in(reply[3]))
            kek_id, *known = words(reply[1:])
        raise restless(participant)

    async def _least_missed(self, participant: str) -> str:
        """Choose the session that makes room for another: the oldest that has ended.

        If none has, the oldest that no job holds.

        Raises:
            StoreRefused: all of them are held.
        """
        keys = ParticipantKeys.of(participant)
        ids = words(await self._transport.execute(keys.sessions, "ZRANGE", keys.sessions, 0, -1))
        commands = [
            (key, ("HMGET", key, "state", "owner", "lease_until")) for key in map(keys.session, ids)
        ]
        seconds, micros = await self._transport.execute(keys.sessions, "TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
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
        """Run ``open`` or ``join``: once, or again where it finds other keys than declared."""
        keys = ParticipantKeys.of(participant)
        new_id, wrapped = candidate.session_id, candidate.wrapped
        wanted, kek_id, evicted = wanted or "", wrapped.kek_id, ""
        for look in range(MAX_LOOKS):
            if look > CALM_LOOKS:
                await asyncio.sleep(random.random() * look / 500)  # noqa: S311 (no secret)
            declared = [
                keys.data_key,
                keys.sessions,
                keys.due,
                keys.kek(kek_id),
                keys.session(wanted or new_id),
                keys.turns(wanted or new_id),
                keys.session(new_id),
                keys.turns(new_id),
            ]
            if evicted:
                declared += [keys.session(evicted), keys.turns(evicted)]
            reply = await self._run(
                name,
                declared,
                (
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
                ),
            )
            match reply[0]:
                case b"OK":
                    return reply
                case b"LOOK":
                    wanted, kek_id, evicted = words(reply[1:])
                    if evicted == "*":
                        evicted = await self._least_missed(participant)
                case b"HELD":
                    raise LeaseHeld(wanted or new_id, int(reply[1]))
                case b"ENDED":
                    raise SessionEnded(wanted)
                case _:
                    raise SessionGone(wanted)
        raise restless(participant)


def _found(reply: Sequence[Any]) -> Found:
    """Read what ``found_reply`` in ``_find.lua`` makes."""
    _, now, session_id, _, created, dkid, kek_id, wrapped, told, size, *rest = reply
    flat, turns = rest[told : told + size], rest[told + size :]
    session = session_in(session_id.decode(), now, (dkid, kek_id, wrapped), flat, turns)
    return Found(session, created == b"1", events_in(rest[:told]))


def _begin_of_event(lease: LeaseRef) -> str:
    """Begin a ``turn_appended`` event; the script adds what only it knows."""
    return (
        f'{{"v":{EVENT_VERSION},"type":"{EventType.TURN_APPENDED}",'
        f'"participant":"{lease.participant}","session_id":"{lease.session_id}","seq":'
    )


def _record_of(keys: ParticipantKeys, session_id: str) -> tuple[str, ...]:
    """Return what must live as long as a session: it, its turns, and what finds and opens them."""
    return (keys.session(session_id), keys.turns(session_id), keys.data_key, keys.sessions)


def _all_of(keys: ParticipantKeys, session_id: str) -> tuple[str, ...]:
    """Return the same and the deadlines, in the order of ``arrive`` and ``leave``."""
    return (
        keys.session(session_id),
        keys.sessions,
        keys.due,
        keys.data_key,
        keys.turns(session_id),
    )
