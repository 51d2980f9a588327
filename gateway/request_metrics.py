"""Metrics of requests: status and duration, by route and never by participant."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from session_store.meter import GatewayPath, Meter, StatusClass

_PATHS: Final[Mapping[str, GatewayPath]] = {
    "/api/token": "token",
    "/healthz": "health",
    "/readyz": "health",
}
"""All other paths count as the page's."""
_CLASSES: Final[Mapping[int, StatusClass]] = {1: "2xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}


class RequestMetrics:
    """ASGI middleware that reports each answer to a meter. The outermost one, so it misses none."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _PATHS.get(scope["path"], "page")
        clock = asyncio.get_running_loop().time
        begun = clock()
        # A request that raises is answered further out, with this status.
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            self._meter.request_answered(path, _CLASSES[status // 100])
            if path == "token":
                self._meter.token_took(clock() - begun)
