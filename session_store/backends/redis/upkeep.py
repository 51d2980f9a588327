"""What surrounds sessions in Redis: participants, deadlines, sweepers, wrapped keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.backends.redis.calls import MAX_LOOKS, RedisCalls, restless
from session_store.backends.redis.replies import events_in, pairs, participant_in, words
from session_store.backends.values import Consent, SessionRef, Settled, SettleOutcome
from session_store.errors import SessionStoreError
from session_store.keys import (
    KEY_CHECK,
    LONG_LIFETIME,
    SWEEPERS,
    ParticipantKeys,
    due_of,
    kek_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_store.backends.values import StoredParticipant
    from session_store.sealing.crypto import WrappedKey


class RedisKeeping(RedisCalls):
    """The operations around sessions. Each method: see ``Backend``."""

    async def participant(self, participant: str) -> StoredParticipant | None:
        """See ``Backend.participant``."""
        key = ParticipantKeys.of(participant).data_key
        return participant_in(await self._transport.execute(key, "HGETALL", key))

    async def erased_at(self, participant: str) -> int | None:
        """See ``Backend.erased_at``."""
        key = ParticipantKeys.of(participant).erased
        at = await self._transport.execute(key, "HGET", key, "at")
        return None if at is None else int(at)

    async def set_consent(self, participant: str, *, given: bool, version: str) -> Consent | None:
        """See ``Backend.set_consent``."""
        keys = ParticipantKeys.of(participant)
        reply = await self._run("consent", (keys.data_key,), ("1" if given else "0", version))
        return Consent(given, version, int(reply[1])) if reply[0] == b"OK" else None

    async def set_retention(self, participant: str, retention_ms: int | None) -> bool:
        """See ``Backend.set_retention``."""
        keys = ParticipantKeys.of(participant)
        own = "0" if retention_ms is None else "1"
        kept_ms = self._retention_ms if retention_ms is None else retention_ms
        ids: list[str] = []
        for _ in range(MAX_LOOKS):
            declared = [keys.data_key, keys.sessions, keys.due]
            for session_id in ids:
                declared += [keys.session(session_id), keys.turns(session_id)]
            reply = await self._run("retain", declared, (participant, kept_ms, own, *ids))
            if reply[0] != b"LOOK":
                return bool(reply[0] == b"OK")
            ids = words(reply[1:])
        raise restless(participant)

    async def due(self, shards: Sequence[int], limit: int) -> Sequence[SessionRef]:
        """See ``Backend.due``."""
        if not shards:
            return []
        keys = [due_of(shard) for shard in shards]
        seconds, micros = await self._transport.execute(keys[0], "TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        found = await self._transport.execute_many(
            [(key, ("ZRANGEBYSCORE", key, "-inf", now, "LIMIT", 0, limit)) for key in keys]
        )
        members = [
            member.decode(errors="replace").partition(":")
            for members in found
            for member in members
        ]
        return [SessionRef(participant, session_id) for participant, _, session_id in members]

    async def settle(self, participant: str, session_id: str) -> Settled:
        """See ``Backend.settle``."""
        keys = ParticipantKeys.of(participant)
        kek_id = self._usual_kek
        for _ in range(MAX_LOOKS):
            reply = await self._run(
                "settle",
                (
                    keys.data_key,
                    keys.sessions,
                    keys.due,
                    keys.kek(kek_id),
                    keys.session(session_id),
                    keys.turns(session_id),
                ),
                (
                    participant,
                    session_id,
                    self._retention_ms,
                    *self._windows,
                    self._lease_ms,
                    kek_id,
                ),
            )
            if reply[0] != b"LOOK":
                outcome, deadline, events = reply
                return Settled(SettleOutcome(outcome.decode()), int(deadline), events_in(events))
            kek_id = self._usual_kek = reply[1].decode()
        raise restless(participant)

    async def sweepers(self, me: str, alive_ms: int) -> Sequence[str]:
        """See ``Backend.sweepers``."""
        reply = await self._run("sweepers", (SWEEPERS,), (me, alive_ms))
        return words(reply[1:])

    async def wrapped_by(self, kek_id: str, shards: Sequence[int]) -> Sequence[str]:
        """See ``Backend.wrapped_by``."""
        keys = [kek_of(shard, kek_id) for shard in shards]
        found = await self._transport.execute_many([(key, ("SMEMBERS", key)) for key in keys])
        return [member.decode(errors="replace") for members in found for member in members]

    async def rewrap(self, participant: str, before: WrappedKey, after: WrappedKey) -> bool:
        """See ``Backend.rewrap``."""
        keys = ParticipantKeys.of(participant)
        if before.data_key_id != after.data_key_id:
            raise SessionStoreError("a data key is wrapped anew, never replaced")
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

    async def forget_wrapped(self, participant: str, kek_id: str) -> bool:
        """See ``Backend.forget_wrapped``."""
        keys = ParticipantKeys.of(participant)
        reply = await self._run(
            "forget_wrapped", (keys.data_key, keys.kek(kek_id)), (participant, kek_id)
        )
        return bool(reply[0] == b"OK")

    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See ``Backend.check_values``."""
        args: list[str | bytes | int] = [round(LONG_LIFETIME.total_seconds())]
        for name, value in mine.items():
            args += [name, value]
        reply = await self._run("check", (KEY_CHECK,), args)
        return {name.decode(): value for name, value in pairs(reply[1]).items()}
