"""A wire to Redis that can be cut: before a command, within it, or before its answer."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from typing_extensions import override

from dev.rig.servers.relay import CHUNK, Relay
from session_store.tasks import stop

_GREETINGS = (b"HELLO", b"AUTH", b"SELECT", b"CLIENT", b"PING", b"CLUSTER")
"""What a connection says by itself; a cut waits for a command of the caller's."""


class Cut(StrEnum):
    """Where the wire is cut."""

    BEFORE = "before"
    """Redis hears nothing of the command."""
    WITHIN = "within"
    """Redis hears half of it."""
    AFTER = "after"
    """Redis runs it; the answer is lost."""


class Proxy(Relay):
    """Passes everything on, both ways, until it is told to cut."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._cut: Cut | None = None
        self._cuts_left = 0
        self.made_cuts = 0

    def cut(self, where: Cut, times: int = 1) -> None:
        """Cut the wire at each of the next commands, whatever connection they come over."""
        self._cut, self._cuts_left = where, times

    def heal(self) -> None:
        """Cut nothing any more."""
        self._cuts_left = 0

    @override
    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self.to)
        answers = asyncio.create_task(self._pass_answers(from_redis, writer))
        try:
            await self._pass_commands(reader, to_redis, from_redis, answers)
        finally:
            await stop(answers)
            to_redis.transport.abort()

    async def _pass_commands(
        self,
        reader: asyncio.StreamReader,
        to_redis: asyncio.StreamWriter,
        from_redis: asyncio.StreamReader,
        answers: asyncio.Task[None],
    ) -> None:
        while chunk := await reader.read(CHUNK):
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
    async def _pass_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()
