"""An id for each request: in the header ``x-request-id`` of its answer, and on its log lines.

The gateway makes the id. An id from the caller could hold anything.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
_ID_BYTES: Final = 8

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """Return the id of the current request; ``None`` outside of requests."""
    return _current.get()


class RequestIds:
    """ASGI middleware that gives each request an id, and puts it in the answer.

    The id outlives the middleware: a request that raises is answered and logged further out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(_ID_BYTES)
        _current.set(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                header = (HEADER.encode(), request_id.encode())
                message["headers"] = [*message.get("headers", []), header]
            await send(message)

        await self._app(scope, receive, send_with_id)


class RequestIdFilter(logging.Filter):
    """Adds the request's id to the log lines of that request."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        request_id = current()
        if request_id is not None and not hasattr(record, "request_id"):
            record.request_id = request_id
        return True
