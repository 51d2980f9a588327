"""A wire to Redis that can be cut: before a command, within it, or before its answer."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from session_store.tasks import stop

if TYPE_CHECKING:
    from types import TracebackType

_GREETINGS = (b"HELLO", b"AUTH", b"SELECT", b"CLIENT", b"PING", b"CLUSTER")
"""What a connection says by itself; a cut waits for a command of the caller's."""
_CHUNK = 65_536


class Cut(StrEnum):
    """Where the wire is cut."""

    BEFORE = "before"
    """Redis hears nothing of the command."""
    WITHIN = "within"
    """Redis hears half of it."""
    AFTER = "after"
    """Redis runs it; the answer is lost."""


class Proxy:
    """Passes everything on, both ways, until it is told to cut."""

    def __init__(self, port: int) -> None:
        self._redis_port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._cut: Cut | None = None
        self._cuts_left = 0
        self.made_cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        await stop(*self._connections)

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self, where: Cut, times: int = 1) -> None:
        """Cut the wire at each of the next commands, whatever connection they come over."""
        self._cut, self._cuts_left = where, times

    def heal(self) -> None:
        """Cut nothing any more."""
        self._cuts_left = 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A Redis that is not there, or goes, ends the connection, as without a proxy.
        with contextlib.suppress(OSError), contextlib.closing(writer.transport):
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self._redis_port)
            answers = asyncio.create_task(self._pass_on(from_redis, writer))
            try:
                await self._pass_commands(reader, to_redis, from_redis, answers)
            finally:
                await stop(answers)
                to_redis.transport.abort()
                writer.transport.abort()

    async def _pass_commands(
        self,
        reader: asyncio.StreamReader,
        to_redis: asyncio.StreamWriter,
        from_redis: asyncio.StreamReader,
        answers: asyncio.Task[None],
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if not self._cuts_left or chunk.split(b"\r\n")[2].upper() in _GREETINGS:
                to_redis.write(chunk)
                await to_redis.drain()
                continue
            self._cuts_left -= 1
            self.made_cuts += 1
            if self._cut is Cut.WITHIN:
                to_redis.write(chunk[: len(chunk) // 2])
                await to_redis.drain()
            elif self._cut is Cut.AFTER:
                await stop(answers)
                to_redis.write(chunk)
                await from_redis.read(1)
            return

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()
