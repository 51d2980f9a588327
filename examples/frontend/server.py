"""A token server of your own, and the page of it. See "Your own token server" in the docs.

It needs ``npm install livekit-client`` in this folder, the settings ``LIVEKIT_URL``,
``LIVEKIT_API_KEY``, ``LIVEKIT_API_SECRET`` and ``LIVEKIT_AGENT_NAME`` of your agent, and
``COOKIE_SECRET``, a secret of its own. A random user in a signed cookie stands in for your login.
"""

import hashlib
import hmac
import os
import secrets
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from livekit import api

HERE = Path(__file__).parent
COOKIE = "user"
CLIENT = os.environ.get("LIVEKIT_CLIENT", HERE / "node_modules/livekit-client")


def token_for(user: str) -> str:
    """Return a token for one call of a user who has logged in."""
    grants = api.VideoGrants(
        room_join=True,
        room=f"call-{secrets.token_urlsafe(16)}",
        can_publish_sources=["microphone"],
        can_update_own_metadata=False,
    )
    agent = api.RoomAgentDispatch(agent_name=os.environ["LIVEKIT_AGENT_NAME"])
    return (
        api.AccessToken()  # LIVEKIT_API_KEY and LIVEKIT_API_SECRET sign it.
        .with_identity(user)
        .with_grants(grants)
        .with_room_config(api.RoomConfiguration(agents=[agent]))
        .with_ttl(timedelta(minutes=10))
        .to_jwt()
    )


def signed(user: str) -> str:
    """Return the cookie of a user."""
    seal = hmac.digest(os.environ["COOKIE_SECRET"].encode(), user.encode(), hashlib.sha256)
    return f"{user}.{seal.hex()}"


def user_of(request: web.Request) -> str | None:
    """Return the user of a cookie that this server has signed."""
    cookie = request.cookies.get(COOKIE, "")
    user = cookie.partition(".")[0]
    return user if hmac.compare_digest(cookie.encode(), signed(user).encode()) else None


async def token(request: web.Request) -> web.Response:
    """Answer with a token. Nothing in it comes from the request but the cookie."""
    user = user_of(request) or f"user-{secrets.token_urlsafe(16)}"
    answer = web.json_response({"url": os.environ["LIVEKIT_URL"], "token": token_for(user)})
    answer.set_cookie(
        *(COOKIE, signed(user)),
        max_age=31536000,
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return answer


async def page(_: web.Request) -> web.FileResponse:
    """Answer with the page."""
    return web.FileResponse(HERE / "index.html")


def make_app() -> web.Application:
    """Make the program: the page, LiveKit's client for it, and tokens."""
    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_static("/livekit-client", CLIENT)
    app.router.add_post("/token", token)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8090")))
