"""A TCP connection that can be cut and healed: between a worker and Redis, or LiveKit's signals."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from session_store.tasks import stop

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 65_536


class Wire:
    """Passes everything on, both ways, except while it is cut."""

    def __init__(self, port: int) -> None:
        """Lead to a port of loopback. Use it as a context manager."""
        self._to = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._whole = asyncio.Event()
        self._whole.set()
        self._refuses = False

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
        await stop(*self._connections)

    def heal(self) -> None:
        """Let everything through again, what waits in open connections too."""
        self._refuses = False
        self._whole.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer.transport):
            await self._whole.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            ways = [
                asyncio.create_task(self._pass_on(reader, forth)),
                asyncio.create_task(self._pass_on(back, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await stop(*ways)
                forth.transport.abort()
                writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
