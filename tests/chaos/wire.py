"""A TCP connection that can be cut and healed: between a worker and Redis, or LiveKit's signals."""

from __future__ import annotations

import asyncio
import contextlib

from typing_extensions import override

from dev.rig.servers.relay import CHUNK, Relay
from session_store.tasks import stop


class Wire(Relay):
    """Passes everything on, both ways, except while it is cut."""

    def __init__(self, port: int) -> None:
        """Lead to a port of loopback. Use it as a context manager."""
        super().__init__(port)
        self._whole = asyncio.Event()
        self._whole.set()
        self._refuses = False

    async def cut(self, *, silent: bool) -> None:
        """Cut it, until ``heal``.

        Args:
            silent: connections stay open and nothing comes through, as behind a dead router;
                else they are reset, and new ones too.
        """
        if silent:
            self._whole.clear()
            return
        self._refuses = True
        await self.drop_all()

    def heal(self) -> None:
        """Let everything through again, what waits in open connections too."""
        self._refuses = False
        self._whole.set()

    @override
    def refuses(self) -> bool:
        return self._refuses

    @override
    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        back, forth = await asyncio.open_connection("127.0.0.1", self.to)
        ways = [
            asyncio.create_task(self._copy(reader, forth)),
            asyncio.create_task(self._copy(back, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stop(*ways)
            forth.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
