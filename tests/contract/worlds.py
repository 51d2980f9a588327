"""A backend with its surroundings: what a test needs besides the contract itself.

Where backends differ (how time passes, how their state is compared) the difference is here.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio import Redis

from session_store import SessionStore, StoreSettings
from session_store.backends.memory.backend import MemoryBackend
from session_store.backends.memory.records import Memory
from session_store.backends.redis.backend import RedisBackend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from session_store.backends.contract import Backend
    from session_store.sealing.keyring import Keyring

PASS_TIME = """
-- Lets time pass for everything that is held: moves its times back.
--   ARGV  milliseconds
local by = tonumber(ARGV[1])
local times = { 'joined_at', 'arrived_at', 'last_seen', 'lease_until', 'window_until', 'agent_by',
  'lost_until', 'ended_at', 'created', 'consent_at', 'touched', 'gave_up', 'let_in',
  'left_at', 'taken_at', 'claimed_at', 'moved_at', 'away_at', 'at' }
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' and string.find(key, '{s%d%d%d%d}') then
    for _, name in ipairs(times) do
      local at = tonumber(redis.call('HGET', key, name) or '0')
      if at > 0 then
        redis.call('HSET', key, name, string.format('%.0f', at - by))
      end
    end
    local deaths = redis.call('HGET', key, 'deaths')
    if deaths then
      redis.call('HSET', key, 'deaths', (string.gsub(deaths, '%d+', function(at)
        return string.format('%.0f', at - by)
      end)))
    end
  elseif kind == 'zset' then
    local scores = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #scores, 2 do
      redis.call('ZINCRBY', key, -by, scores[i])
    end
  end
  local ttl = redis.call('PTTL', key)
  if ttl >= 0 then
    redis.call('PEXPIRE', key, string.format('%.0f', ttl - by))
  end
end
return redis.status_reply('OK')
"""


OUTLAST = (b":erased", b":mark")
"""Ends of the keys that outlast a participant: when it was erased, and its shard's mark."""


class World(Protocol):
    """One store, as all of its processes and its operator see it."""

    @property
    def backend(self) -> Backend:
        """With the settings of the world."""
        ...

    def another(self, **changed: Any) -> Backend:
        """Make the backend of another process, with settings changed at will."""
        ...

    def store(self, keyring: Keyring, **changed: Any) -> SessionStore:
        """Make a store of yet another process."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let time pass: for sessions, deadlines and lifetimes."""
        ...

    async def empty(self) -> None:
        """Lose everything."""
        ...

    async def dump(self) -> object:
        """Return all that is held but marks of erasures; equal if and only if nothing changed."""
        ...

    async def lifetimes(self) -> Mapping[str, int]:
        """Return for how many ms it will live, by name; -1 for ever."""
        ...

    async def due(self, participant: str) -> Mapping[str, int]:
        """Return by when each session will be looked at, in ms from now."""
        ...

    async def aclose(self) -> None:
        """Close everything."""
        ...


class MemoryWorld:
    """All processes are this one; its clock is moved."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._now = 1_700_000_000_000
        self.backend = MemoryBackend(settings, clock=self._tick)

    def another(self, **changed: Any) -> MemoryBackend:
        """See ``World.another``."""
        settings = StoreSettings.model_validate({**self._settings.model_dump(), **changed})
        return MemoryBackend(
            settings, clock=self._tick, memory=self.backend.memory, side=self.backend.side
        )

    def store(self, keyring: Keyring, **changed: Any) -> SessionStore:
        """See ``World.store``."""
        return SessionStore(self.another(**changed), keyring)

    async def pass_time(self, seconds: float) -> None:
        """See ``World.pass_time``."""
        self._now += round(seconds * 1000)

    async def empty(self) -> None:
        """See ``World.empty``."""
        self.backend.memory = Memory()

    async def dump(self) -> object:
        """See ``World.dump``."""
        return replace(copy.deepcopy(self.backend.memory), erased={})

    async def lifetimes(self) -> Mapping[str, int]:
        """See ``World.lifetimes``."""
        lives = {}
        for name, person in self.backend.memory.people.items():
            lives[name] = person.expires_at - self._now
            for record in person.sessions.values():
                lives[record.id] = record.expires_at - self._now
        return lives

    async def due(self, participant: str) -> Mapping[str, int]:
        """See ``World.due``."""
        return {
            name.session_id: at - self._now
            for name, at in self.backend.memory.due.items()
            if name.participant == participant
        }

    async def aclose(self) -> None:
        """See ``World.aclose``."""

    def _tick(self) -> int:
        # One ms per operation: what came later was seen later, as with a real clock.
        self._now += 1
        return self._now


class RedisWorld:
    """A real Redis. Its clock cannot be moved, so the stored times are moved instead."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._made: list[Callable[[], Awaitable[None]]] = []
        self.raw: Any = Redis.from_url(settings.redis_url.get_secret_value())
        self.backend = self.another()

    def another(self, **changed: Any) -> RedisBackend:
        """See ``World.another``."""
        settings = StoreSettings.model_validate({**self._settings.model_dump(), **changed})
        backend = RedisBackend.from_settings(settings)
        self._made.append(backend.aclose)
        return backend

    def store(self, keyring: Keyring, **changed: Any) -> SessionStore:
        """See ``World.store``."""
        return SessionStore(self.another(**changed), keyring)

    async def pass_time(self, seconds: float) -> None:
        """See ``World.pass_time``."""
        await self.raw.eval(PASS_TIME, 0, round(seconds * 1000))

    async def empty(self) -> None:
        """See ``World.empty``."""
        await self.raw.flushall()

    async def dump(self) -> object:
        """See ``World.dump``."""
        keys = sorted(await self._keys())
        kinds = await self._each([("TYPE", key) for key in keys])
        # A dump of a hash or set shows the order of its buckets, which a mere read may change.
        read = {b"hash": "HGETALL", b"set": "SMEMBERS"}
        dumps = await self._each(
            [(read.get(kind, "DUMP"), key) for key, kind in zip(keys, kinds, strict=True)]
        )
        return dict(zip(keys, dumps, strict=True))

    async def lifetimes(self) -> Mapping[str, int]:
        """See ``World.lifetimes``."""
        keys = await self._keys()
        lives = await self._each([("PTTL", key) for key in keys])
        return {key.decode(): left for key, left in zip(keys, lives, strict=True)}

    async def due(self, participant: str) -> Mapping[str, int]:
        """See ``World.due``."""
        seconds, micros = await self.raw.time()
        now = seconds * 1000 + micros // 1000
        keys = self.backend.space.participant(participant)
        members = await self.raw.zrange(keys.due, 0, -1, withscores=True)
        named = [(member.decode().partition(":"), round(score)) for member, score in members]
        return {session_id: at - now for (who, _, session_id), at in named if who == participant}

    async def aclose(self) -> None:
        """See ``World.aclose``."""
        await asyncio.gather(*(close() for close in self._made))
        await self.raw.aclose()

    async def _keys(self) -> list[bytes]:
        return [key for key in await self.raw.keys() if not key.endswith(OUTLAST)]

    async def _each(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        async with self.raw.pipeline(transaction=False) as pipe:
            for command, key in commands:
                pipe.execute_command(command, key)
            answers: list[Any] = await pipe.execute()
            return answers
