"""Security headers of every answer, and requests that are refused before any handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gateway.errors import answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 16 * 1024


def response_headers(livekit_url: str) -> dict[str, str]:
    """Return the headers of every answer.

    The page may run only its own scripts, and connect only to this gateway and to LiveKit.
    """
    livekit = urlsplit(livekit_url)
    secure = livekit.scheme in {"wss", "https"}
    reached = f"{'wss' if secure else 'ws'}://{livekit.netloc}"
    checked = f"{'https' if secure else 'http'}://{livekit.netloc}"
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "media-src": "'self' blob: mediastream:",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "connect-src": f"'self' {reached} {checked}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "permissions-policy": "microphone=(self), camera=(), geolocation=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


class Guard:
    """ASGI middleware that adds the headers, and refuses large bodies and foreign pages."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_api = scope["path"].startswith("/api/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                caching = _caching(scope["path"], is_api=is_api)
                message["headers"] = [
                    *message.get("headers", []),
                    *self._headers,
                    (b"cache-control", caching),
                ]
            await send(message)

        headers = dict(scope["headers"])
        site = headers.get(b"sec-fetch-site", b"same-origin")
        if is_api and site not in {b"same-origin", b"none"}:
            refusal = answer(403, "foreign_page", "Open the page of this service itself.")
            await refusal(scope, receive, send_with_headers)
            return
        too_large = answer(413, "body_too_large", f"A request has at most {MAX_BODY_BYTES} bytes.")
        if int(headers.get(b"content-length", b"0") or b"0") > MAX_BODY_BYTES:
            await too_large(scope, receive, send_with_headers)
            return
        body = await _body(receive)
        if body is None:
            await too_large(scope, receive, send_with_headers)
            return
        sent = False

        async def receive_again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receive_again, send_with_headers)


async def _body(receive: Receive) -> bytes | None:
    """Read the body; ``None`` if it is too large, even if a smaller length was announced."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _caching(path: str, *, is_api: bool) -> bytes:
    if is_api:
        return b"no-store"
    # Files under assets/ have a hash of their content in their names.
    return b"public, max-age=31536000, immutable" if path.startswith("/assets/") else b"no-cache"
