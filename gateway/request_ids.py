"""A name for each request: in its answer's ``x-request-id``, and on the lines logged for it.

It is made here. One that came with the request could be anything.
"""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "x-request-id"
_ID_BYTES: Final = 8

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current() -> str | None:
    """Return the id of the request that is being answered."""
    return _current.get()


class RequestIds:
    """ASGI middleware: names each request, and says the name in its answer.

    The name outlives the middleware: what fails is answered, and logged, further out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = secrets.token_hex(_ID_BYTES)
        _current.set(name)

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = (HEADER.encode(), name.encode())
                message["headers"] = [*message.get("headers", []), named]
            await send(message)

        await self._app(scope, receive, send_with_name)


class RequestIdFilter(logging.Filter):
    """Puts the request's id on the lines that are logged for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See ``logging.Filter``."""
        name = current()
        if name is not None and not hasattr(record, "request_id"):
            record.request_id = name
        return True
