"""A provider's server on loopback: it answers, refuses, or is not there, as a test wants it."""

from __future__ import annotations

import time
from typing import Any, Self

from aiohttp import web

from dev.rig.ports import free_port


class FakeProvider:
    """A server that can go away and come back under the same address.

    Subclasses say what it serves. Each request passes ``_refuse`` first.
    """

    def __init__(self) -> None:
        self.refuses: dict[str, int] = {}
        """Status by path: requests of it are refused with that. Empty: all is well."""
        self.code = ""
        """The error code that a refusal gives as its reason."""
        self.keys: set[str] = set()
        """The authorization headers that were sent."""
        self.asked: list[tuple[str, float]] = []
        """The paths of all requests, refused ones too, and when they came (monotonic)."""
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        """Address and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """What a plugin takes as its base URL."""
        return f"http://{self.host}/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()

    async def start(self) -> None:
        """Listen."""
        if self._runner is None:
            app = web.Application(middlewares=[self._refuse])
            app.add_routes(self.routes())
            self._runner = web.AppRunner(app, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def go_away(self) -> None:
        """Listen no more, and drop all connections: the machine refuses new ones."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def mend(self) -> None:
        """Refuse nothing any more."""
        self.refuses.clear()
        self.code = ""

    def count(self, path: str) -> int:
        """Return how often a path was asked."""
        return len(self.times(path))

    def times(self, path: str) -> list[float]:
        """Return when a path was asked (monotonic)."""
        return [at for asked, at in self.asked if asked == path]

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return []

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append((request.path, time.monotonic()))
        self.keys.add(request.headers.get("Authorization", ""))
        if (status := self.refuses.get(request.path)) is not None:
            error = {"message": "refused by the test", "code": self.code or None, "type": None}
            return web.json_response({"error": error}, status=status)
        response: web.StreamResponse = await handler(request)
        return response
