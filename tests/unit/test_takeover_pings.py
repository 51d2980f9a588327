"""What counts as the word of a dead agent, and what only as a LiveKit that does not answer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from session_store.livekit.rooms.api_calls import LiveKitFailed
from session_store.livekit.rooms.rooms import LiveKitRooms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@asynccontextmanager
async def livekit_that(answers: Callable[[], web.Response]) -> AsyncIterator[LiveKitRooms]:
    """Run a server that answers every call in one way."""

    async def answer(_: web.Request) -> web.Response:
        return answers()

    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/PerformRpc", answer)
    async with (
        TestServer(app) as server,
        LiveKitRooms(str(server.make_url("")), "key", "secret" * 8) as rooms,
    ):
        yield rooms


def error(status: int, code: str, message: str) -> Callable[[], web.Response]:
    """Make an error as LiveKit answers it."""
    return lambda: web.json_response({"code": code, "msg": message}, status=status)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (503, "unavailable", ""),
        (429, "resource_exhausted", "too many requests"),
        (401, "unauthenticated", "permissions denied"),
        (500, "internal", "could not handle the request"),
        (404, "bad_route", "no handler for path"),
        (408, "deadline_exceeded", ""),
    ],
)
async def test_a_livekit_that_fails_condemns_nobody(status: int, code: str, message: str) -> None:
    """Whether an agent lives is unknown then."""
    async with livekit_that(error(status, code, message)) as rooms:
        with pytest.raises(LiveKitFailed):
            await rooms.any_answers("room", ["agent-1"])


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (408, "canceled", "twirp error unknown: RpcError 1502: Response timeout"),
        (400, "invalid_argument", "twirp error unknown: RpcError 1400: Method not supported"),
        (503, "unavailable", "twirp error unknown: no response from servers"),
        (500, "internal", "twirp error unknown: data channel is not available"),
        (500, "internal", "twirp error unknown: transport failure"),
        (404, "not_found", "participant does not exist"),
    ],
)
async def test_what_livekit_says_of_an_agent_counts(status: int, code: str, message: str) -> None:
    """It is dead, stopped, gone, or has no conversation."""
    async with livekit_that(error(status, code, message)) as rooms:
        assert not await rooms.any_answers("room", ["agent-1"])


async def test_an_agent_that_is_just_connecting_is_asked_again() -> None:
    """It gets its chance within the time of a ping."""
    connecting = error(500, "internal", "data channel is not available")
    asked = 0

    def answer() -> web.Response:
        nonlocal asked
        asked += 1
        return connecting() if asked <= 2 else web.Response(body=b"\x0a\x04here")

    async with livekit_that(answer) as rooms:
        assert await rooms.any_answers("room", ["agent-1"])


@pytest.mark.parametrize(
    ("status", "code", "known"),
    [(404, "bad_route", False), (501, "unimplemented", False), (503, "unavailable", True)],
)
async def test_an_old_livekit_is_known_by_its_answer(status: int, code: str, known: bool) -> None:  # noqa: FBT001
    """One without the call says so, whatever it is asked."""
    async with livekit_that(error(status, code, "")) as rooms:
        assert await rooms.can_ping() is known
