"""What is compared: each keeps turns of sessions in a database of its own.

Here are the others; the store itself is in ``ours``. All of them keep a day, like the store by
default. Each has one client, shared by all of its sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from agents.extensions.memory import EncryptedSession, RedisSession
from cryptography.fernet import Fernet
from redis.asyncio import Redis

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agents.memory.session import SessionABC

    Append: TypeAlias = Callable[[str], Awaitable[object]]
    """Appends a turn with this text; returns when Redis has acknowledged it."""
    Read: TypeAlias = Callable[[], Awaitable[Sequence[str]]]
    """Returns the texts of the newest turns, oldest first."""

KEPT_TURNS: Final = 100
READ_TURNS: Final = 10
_TTL_S: Final = 24 * 3600


class DataMissing(Exception):
    """A contestant said that a turn was in Redis, and it is not."""


class Contestant(Protocol):
    """One way of keeping turns."""

    name: str
    """In ``store.json``."""

    async def fill(self, session: str, texts: Sequence[str]) -> None:
        """Make a session with these turns, in as few calls as it takes."""
        ...

    async def writer(self, session: str) -> Append:
        """Return what appends to a session; for one task."""
        ...

    async def shared_writer(self, session: str) -> Append:
        """Return what appends to a session; for many tasks at once."""
        ...

    async def reader(self, session: str) -> Read:
        """Return what reads the newest ten turns."""
        ...

    async def check(self, session: str, count: int, last: str | None) -> None:
        """Look into Redis.

        Args:
            session: which one.
            count: how many appends to it were acknowledged.
            last: text of the newest one, where it is known.

        Raises:
            DataMissing: something else is there.
        """
        ...

    async def aclose(self) -> None:
        """Close the client."""
        ...


class Pipeline:
    """The floor: redis-py with three commands in one pipeline. No seal, no fence, no order."""

    name = "pipeline"

    def __init__(self, database: str) -> None:
        self._redis = Redis.from_url(database)

    async def fill(self, session: str, texts: Sequence[str]) -> None:
        """See ``Contestant.fill``."""
        await self._append(session, *texts)

    async def writer(self, session: str) -> Append:
        """See ``Contestant.writer``."""

        async def append(text: str) -> None:
            await self._append(session, text)

        return append

    shared_writer = writer

    async def reader(self, session: str) -> Read:
        """See ``Contestant.reader``."""
        key = _key(session)

        async def read() -> Sequence[str]:
            found: list[Any] = await self._redis.lrange(key, -READ_TURNS, -1)
            return [text.decode() for text in found]

        return read

    async def check(self, session: str, count: int, last: str | None) -> None:
        """See ``Contestant.check``."""
        found: list[Any] = await self._redis.lrange(_key(session), 0, -1)
        if len(found) != min(count, KEPT_TURNS) or (last and found[-1].decode() != last):
            raise DataMissing(self.name)

    async def aclose(self) -> None:
        """See ``Contestant.aclose``."""
        await self._redis.aclose()

    async def _append(self, session: str, *texts: str) -> None:
        key = _key(session)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.rpush(key, *texts)
            pipe.ltrim(key, -KEPT_TURNS, -1)
            pipe.expire(key, _TTL_S)
            await pipe.execute()


class Agents:
    """``RedisSession`` of openai-agents, alone or within its ``EncryptedSession``."""

    def __init__(self, database: str, *, encrypted: bool) -> None:
        self.name = "encrypted_session" if encrypted else "redis_session"
        self._redis = Redis.from_url(database)
        self._secret = Fernet.generate_key().decode() if encrypted else None

    async def fill(self, session: str, texts: Sequence[str]) -> None:
        """See ``Contestant.fill``."""
        await self._session(session).add_items([_item(text) for text in texts])

    async def writer(self, session: str) -> Append:
        """See ``Contestant.writer``."""
        kept = self._session(session)

        async def append(text: str) -> None:
            await kept.add_items([_item(text)])

        return append

    shared_writer = writer

    async def reader(self, session: str) -> Read:
        """See ``Contestant.reader``."""
        kept = self._session(session)

        async def read() -> Sequence[str]:
            return _texts(await kept.get_items(READ_TURNS))

        return read

    async def check(self, session: str, count: int, last: str | None) -> None:
        """See ``Contestant.check``. It keeps all turns: its lists are never trimmed."""
        found = _texts(await self._session(session).get_items())
        if len(found) != count or (last and found[-1] != last):
            raise DataMissing(self.name)

    async def aclose(self) -> None:
        """See ``Contestant.aclose``."""
        await self._redis.aclose()

    def _session(self, session: str) -> SessionABC:
        kept = RedisSession(session, redis_client=self._redis, ttl=_TTL_S)
        if self._secret is None:
            return kept
        return EncryptedSession(session, kept, self._secret, ttl=_TTL_S)


def _key(session: str) -> str:
    return f"turns:{session}"


def _item(text: str) -> Any:
    # One of many types of the library's; this one is a dict.
    return {"role": "user", "content": text}


def _texts(items: Sequence[Any]) -> list[str]:
    return [str(item["content"]) for item in items]
