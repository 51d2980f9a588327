"""What stands between a client and a server on loopback: accepts, and ends what it accepted."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Final, Self

from session_store.tasks import stop

CHUNK: Final = 65_536


class Relay(ABC):
    """Listens on a port of loopback as long as its block lasts."""

    def __init__(self, port: int) -> None:
        """Lead to a port of loopback."""
        self.to: Final = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await self.drop_all()

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def drop_all(self) -> None:
        """End every connection."""
        await stop(*self._connections)

    def refuses(self) -> bool:
        """Return whether new connections are reset."""
        return False

    @abstractmethod
    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until its end."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses():
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A server that is not there, or goes, ends the connection, as without a relay.
        with contextlib.suppress(OSError), contextlib.closing(writer.transport):
            try:
                await self.pass_on(reader, writer)
            finally:
                writer.transport.abort()
