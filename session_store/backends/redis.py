"""Redis (or Valkey), 6.2 or newer: one Lua script per operation.

redis-py's own retries are off, so that it is decided here what is repeated, and how often.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    RedisError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from session_store.backends.base import (
    AgentPresence,
    Candidate,
    JoinAttempt,
    JoinOutcome,
    LeaseRef,
    StoredSession,
)
from session_store.backends.scripts import run
from session_store.crypto import WrappedKey
from session_store.errors import (
    LeaseHeld,
    LeaseLost,
    SealBroken,
    SequenceGap,
    SessionEnded,
    SessionGone,
    StoreRefused,
    StoreUnavailable,
    WriteConflict,
)
from session_store.keys import KEY_CHECK, KEY_CHECK_LIFETIME, ParticipantKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from session_store.settings import StoreSettings

MAX_LOOKS = 5
"""How often a call is repeated because the newest session was not the one it had declared."""


class RedisBackend:
    """``Backend`` over one Redis. Closes the client only if it made it."""

    def __init__(self, client: Redis, settings: StoreSettings, *, owns_client: bool) -> None:
        self._client = client
        self._owns_client = owns_client
        self._where = f"{settings.redis_url.host}:{settings.redis_url.port}"
        self._lease_ms = _ms(settings.lease_s)
        self._expect_ms = _ms(settings.agent_expected_s)
        self._ttl_ms = _ms(settings.expiry.total_seconds())
        self._max_turns = settings.max_turns
        self._windows = (
            _ms(settings.resume_window_first_s),
            _ms(settings.resume_window_early_s),
            _ms(settings.resume_window_regular_s),
        )

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Connect lazily to ``settings.redis_url``."""
        pool = BlockingConnectionPool.from_url(
            str(settings.redis_url),
            max_connections=settings.redis_max_connections,
            timeout=settings.redis_timeout_s,
            socket_timeout=settings.redis_timeout_s,
            socket_connect_timeout=settings.redis_timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(Redis.from_pool(pool), settings, owns_client=True)

    async def open(
        self, participant: str, wanted: str | None, candidate: Candidate, *, expect_agent: bool
    ) -> tuple[StoredSession, AgentPresence]:
        """See ``Backend.open``."""
        expect_ms = self._expect_ms if expect_agent else 0
        args = [expect_ms, self._lease_ms]
        reply = await self._find("open", participant, wanted, candidate, args)
        return _session(reply), AgentPresence(reply[3].decode())

    async def join(
        self, participant: str, wanted: str | None, candidate: Candidate, attempt: JoinAttempt
    ) -> tuple[StoredSession, JoinOutcome]:
        """See ``Backend.join``."""
        args: list[str | int] = [
            "1" if attempt.exact else "0",
            attempt.owner,
            attempt.load,
            self._lease_ms,
        ]
        reply = await self._find("join", participant, wanted, candidate, args)
        return _session(reply), JoinOutcome(reply[3].decode())

    async def arrive(self, lease: LeaseRef, attempt: str, load: str) -> tuple[bool, int]:
        """See ``Backend.arrive``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "arrive",
            lease,
            [keys.session(lease.session_id), keys.sessions],
            [lease.session_id, *_proof(lease), attempt, load, self._ttl_ms],
        )
        return reply[1] == b"1", int(_pairs(reply[2])["reconnect_count"])

    async def leave(self, lease: LeaseRef) -> int:
        """See ``Backend.leave``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "leave",
            lease,
            [keys.session(lease.session_id), keys.sessions, keys.due],
            [
                lease.session_id,
                *_proof(lease),
                self._ttl_ms,
                *self._windows,
                keys.due_member(lease.session_id),
            ],
        )
        return int(_pairs(reply[1])["window_until"])

    async def append(
        self, lease: LeaseRef, first_seq: int, tag_before: bytes, sealed: Sequence[bytes]
    ) -> int:
        """See ``Backend.append``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "append",
            lease,
            [keys.session(lease.session_id), keys.turns(lease.session_id)],
            [*_proof(lease), self._ttl_ms, self._max_turns, first_seq, tag_before, *sealed],
        )
        return int(reply[1])

    async def update(self, lease: LeaseRef, version: int, content: bytes) -> int:
        """See ``Backend.update``."""
        keys = ParticipantKeys.of(lease.participant)
        reply = await self._write(
            "update",
            lease,
            [keys.session(lease.session_id)],
            [*_proof(lease), self._ttl_ms, version, content],
        )
        return int(reply[1])

    async def renew(self, lease: LeaseRef) -> None:
        """See ``Backend.renew``."""
        keys = ParticipantKeys.of(lease.participant)
        touched = [
            keys.session(lease.session_id),
            keys.turns(lease.session_id),
            keys.data_key,
            keys.sessions,
            keys.due,
        ]
        await self._write("renew", lease, touched, [*_proof(lease), self._ttl_ms, self._lease_ms])

    async def release(self, lease: LeaseRef) -> None:
        """See ``Backend.release``."""
        keys = ParticipantKeys.of(lease.participant)
        await self._write("release", lease, [keys.session(lease.session_id)], _proof(lease))

    async def expect_agent(
        self, participant: str, session_id: str, *, claim: bool
    ) -> AgentPresence:
        """See ``Backend.expect_agent``."""
        keys = ParticipantKeys.of(participant)
        reply = await self._run(
            "expect",
            [keys.session(session_id), keys.due],
            [keys.due_member(session_id), self._expect_ms if claim else 0, self._lease_ms],
        )
        return AgentPresence(reply[0].decode())

    async def give_back_claim(self, participant: str, session_id: str) -> None:
        """See ``Backend.give_back_claim``."""
        keys = ParticipantKeys.of(participant)
        await self._run(
            "expect",
            [keys.session(session_id), keys.due],
            [keys.due_member(session_id), -1, self._lease_ms],
        )

    async def load(self, participant: str, session_id: str) -> StoredSession | None:
        """See ``Backend.load``."""
        keys = ParticipantKeys.of(participant)
        reply = await self._run(
            "load", [keys.data_key, keys.session(session_id), keys.turns(session_id)], []
        )
        if reply[0] == b"GONE":
            return None
        # The same shape as the answer of open and join.
        return _session([reply[0], reply[1], session_id.encode(), b"", *reply[2:]])

    async def erase(self, participant: str, kek_id: str, known: Sequence[str]) -> int:
        """See ``Backend.erase``."""
        keys = ParticipantKeys.of(participant)
        for _ in range(MAX_LOOKS):
            declared = [keys.data_key, keys.sessions, keys.due, keys.kek(kek_id)]
            for session_id in known:
                declared += [keys.session(session_id), keys.turns(session_id)]
            reply = await self._run("erase", declared, [participant, kek_id, *known])
            if reply[0] == b"OK":
                return int(reply[1])
            kek_id, *known = [part.decode() for part in reply[1:]]
        raise _restless(participant)

    async def check_values(self, mine: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """See ``Backend.check_values``."""
        with self._translated():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hgetall(KEY_CHECK)
                for name, value in mine.items():
                    pipe.hsetnx(KEY_CHECK, name, value)
                pipe.expire(KEY_CHECK, KEY_CHECK_LIFETIME)
                before = (await pipe.execute())[0]
        return {name.decode(): value for name, value in before.items()}

    async def ping(self) -> None:
        """See ``Backend.ping``."""
        with self._translated():
            await self._client.ping()

    async def aclose(self) -> None:
        """See ``Backend.aclose``."""
        if self._owns_client:
            await self._client.aclose()

    async def _find(
        self,
        name: str,
        participant: str,
        wanted: str | None,
        candidate: Candidate,
        args: Sequence[str | int],
    ) -> list[Any]:
        """Run ``open`` or ``join``: once, or again where another session is the newest."""
        keys = ParticipantKeys.of(participant)
        wrapped = candidate.wrapped
        kek_id = wrapped.kek_id
        for _ in range(MAX_LOOKS):
            reply = await self._run(
                name,
                [
                    keys.data_key,
                    keys.sessions,
                    keys.due,
                    keys.kek(kek_id),
                    keys.session(wanted or candidate.session_id),
                    keys.turns(wanted or candidate.session_id),
                    keys.session(candidate.session_id),
                    keys.turns(candidate.session_id),
                ],
                [
                    participant,
                    wanted or "",
                    candidate.session_id,
                    wrapped.data_key_id,
                    wrapped.kek_id,
                    wrapped.wrapped,
                    self._ttl_ms,
                    *self._windows,
                    kek_id,
                    *args,
                ],
            )
            match reply[0]:
                case b"OK":
                    return reply
                case b"LOOK":
                    wanted = reply[1].decode() or None
                    kek_id = reply[2].decode()
                case b"HELD":
                    raise LeaseHeld(wanted or candidate.session_id, int(reply[1]))
                case b"ENDED":
                    raise SessionEnded(wanted or "")
                case _:
                    raise SessionGone(wanted or "")
        raise _restless(participant)

    async def _write(
        self,
        name: str,
        lease: LeaseRef,
        keys: Sequence[str],
        args: Sequence[str | bytes | int],
    ) -> list[Any]:
        """Run a script that the lease guards, and turn its refusals into errors."""
        reply = await self._run(name, keys, args)
        match reply[0]:
            case b"OK" | b"DUPLICATE":
                return reply
            case b"GAP":
                raise SequenceGap(lease.session_id, int(reply[1]))
            case b"CONFLICT":
                raise WriteConflict(lease.session_id, int(reply[1]))
            case b"LEASE_LOST":
                raise LeaseLost(lease.session_id, int(lease.fence))
            case _:
                raise SessionGone(lease.session_id)

    async def _run(
        self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]
    ) -> list[Any]:
        with self._translated():
            try:
                return await run(self._client, name, keys, args)
            except RedisTimeoutError:
                raise
            except (RedisConnectionError, ConnectionError):
                # A pooled connection that Redis has closed since (a restart, an idle time-out).
                # Every script may be repeated: it answers as the first time, or says DUPLICATE.
                return await run(self._client, name, keys, args)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            raise StoreRefused(
                f"Redis at {self._where} refused the user or password in REJOIN_REDIS_URL"
            ) from error
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise StoreUnavailable(
                f"Redis at {self._where} does not answer; start it, or correct REJOIN_REDIS_URL"
            ) from error
        except RedisError as error:
            # The text of Redis's own errors names commands and keys, never values.
            raise StoreRefused(f"Redis at {self._where} refused: {error}") from error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _proof(lease: LeaseRef) -> list[str]:
    return [lease.owner, lease.fence, lease.data_key_id]


def _restless(participant: str) -> StoreRefused:
    return StoreRefused(
        f"the sessions of participant {participant} change faster than they can be read; try again"
    )


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    """Turn ``[name, value, name, value, ...]`` into a dict."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _session(reply: Sequence[Any]) -> StoredSession:
    """Read ``{OK, now, id, outcome, data key hash, session hash, turns}``.

    Raises:
        SealBroken: the wrapped data key is missing, so the session cannot be opened.
    """
    session_id = reply[2].decode()
    key, fields = _pairs(reply[4]), _pairs(reply[5])
    if key.get("dkid") != fields.get("dkid") or not {"dkid", "kek", "wrapped"} <= key.keys():
        raise SealBroken("the data key", session_id)

    def number(name: str) -> int:
        return int(fields.get(name, b"0"))

    return StoredSession(
        id=session_id,
        wrapped=WrappedKey(key["dkid"].decode(), key["kek"].decode(), key["wrapped"]),
        now=int(reply[1]),
        state=fields["state"].decode(),
        reconnect_count=number("reconnect_count"),
        joined_at=number("joined_at"),
        last_seen=number("last_seen"),
        seq=number("seq"),
        version=number("version"),
        fence=fields.get("fence", b"0").decode(),
        owner=fields.get("owner", b"").decode(),
        lease_until=number("lease_until"),
        window_until=number("window_until"),
        head=fields.get("head", b""),
        content=fields.get("content"),
        turns=list(reply[6]),
    )
