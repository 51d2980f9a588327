"""What surrounds sessions in Redis: participants, deadlines, sweepers and wrapped keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from session_store.backends.redis.calls import RedisCalls
from session_store.backends.redis.replies import events_in, pairs, participant_in, words
from session_store.backends.values import (
    Consent,
    LiveSweepers,
    SessionRef,
    SettleAnswer,
    SettleOutcome,
)
from session_store.errors import SessionStoreError
from session_store.keys import LONG_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.backends.redis.calls import Declaration
    from session_store.backends.values import StoredParticipant
    from session_store.sealing.data_key import WrappedKey


_SHARDS_AT_ONCE: Final = 64


class RedisUpkeep(RedisCalls):
    """The operations around sessions."""

    @override
    async def participant(self, participant: str) -> StoredParticipant | None:
        key = self._space.participant(participant).data_key
        return participant_in(await self._transport.execute(key, "HGETALL", key))

    @override
    async def erased_at(self, participant: str) -> int | None:
        key = self._space.participant(participant).erased
        at = await self._transport.execute(key, "HGET", key, "at")
        return None if at is None else int(at)

    @override
    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        keys = self._space.participant(participant)
        reply = await self._run("consent", (keys.data_key,), ("1" if given else "0", version))
        return Consent(given, version, int(reply[1])) if reply[0] == b"OK" else None

    @override
    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        keys = self._space.participant(participant)
        own = "0" if retention_ms is None else "1"
        kept_ms = self._retention_ms if retention_ms is None else retention_ms

        async def declare(ids: Sequence[str]) -> Declaration:
            declared = [keys.data_key, keys.sessions, keys.due]
            for session_id in ids:
                declared += [keys.session(session_id), keys.turns(session_id)]
            return declared, (participant, kept_ms, own, *ids)

        _, reply = await self._look("retain", participant, (), declare)
        return bool(reply[0] == b"OK")

    @override
    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        if not shards:
            return []
        keys = [self._space.due(shard) for shard in shards]
        now = await self._transport.clock_ms(keys[0])
        found = await self._transport.execute_many(
            [(key, ("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, limit)) for key in keys]
        )
        members = [
            member.decode(errors="replace").partition(":")
            for members in found
            for member in members
        ]
        return [SessionRef(participant, session_id) for participant, _, session_id in members]

    @override
    async def settle(self, participant: str, session_id: str) -> SettleAnswer:
        keys = self._space.participant(participant)

        async def declare(ids: Sequence[str]) -> Declaration:
            [kek_id] = ids
            declared = (
                keys.data_key,
                keys.sessions,
                keys.due,
                keys.kek(kek_id),
                keys.session(session_id),
                keys.turns(session_id),
            )
            numbers = (self._retention_ms, *self._windows, self._lease_ms)
            return declared, (participant, session_id, *numbers, kek_id)

        guess = (self._usual_kek,)
        [self._usual_kek], reply = await self._look("settle", participant, guess, declare)
        outcome, deadline, events = reply
        return SettleAnswer(SettleOutcome(outcome.decode()), int(deadline), events_in(events))

    @override
    async def sweepers(self, me: str, alive_ms: int) -> LiveSweepers:
        _, now, was_set_back, *names = await self._run(
            "sweepers", (self._space.sweepers,), (me, alive_ms)
        )
        return LiveSweepers(words(names), int(now), was_set_back == b"1")

    @override
    async def make_all_due(self, shards: Sequence[int]) -> None:
        for first in range(0, len(shards), _SHARDS_AT_ONCE):
            some = shards[first : first + _SHARDS_AT_ONCE]
            await asyncio.gather(
                *(self._run("make_due", (self._space.due(shard),), ()) for shard in some)
            )

    @override
    async def mark(self, participant: str) -> str | None:
        key = self._space.participant(participant).mark
        made = await self._transport.execute(key, "HGET", key, "made")
        return None if made is None else made.decode(errors="replace")

    @override
    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        keys = [self._space.kek(shard, kek_id) for shard in shards]
        found = await self._transport.execute_many([(key, ("SMEMBERS", key)) for key in keys])
        return [member.decode(errors="replace") for members in found for member in members]

    @override
    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        keys = self._space.participant(participant)
        if before.data_key_id != after.data_key_id:
            raise SessionStoreError("a data key is wrapped again, never replaced")
        reply = await self._run(
            "rewrap",
            (keys.data_key, keys.kek(before.kek_id), keys.kek(after.kek_id)),
            (
                participant,
                before.data_key_id,
                before.kek_id,
                before.wrapped,
                after.kek_id,
                after.wrapped,
            ),
            durable=True,
        )
        return bool(reply[0] == b"OK")

    @override
    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        keys = self._space.participant(participant)
        reply = await self._run(
            "forget_wrapped", (keys.data_key, keys.kek(kek_id)), (participant, kek_id)
        )
        return bool(reply[0] == b"OK")

    @override
    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        args: list[str | bytes | int] = [round(LONG_LIFETIME.total_seconds())]
        for name, value in mine.items():
            args += [name, value]
        reply = await self._run("check", (self._space.key_check,), args)
        return {name.decode(): value for name, value in pairs(reply[1]).items()}
