"""Calls to LiveKit's API, and how they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from livekit import api

if TYPE_CHECKING:
    from collections.abc import Awaitable

Answer = TypeVar("Answer")

CALL_S: Final = 5.0
"""Bound on each call. LiveKit itself gives up on a participant that it cannot reach after 3 s."""
ERRORS: Final = (aiohttp.ClientError, TimeoutError, OSError, api.TwirpError)


class LiveKitFailed(Exception):
    """LiveKit did not answer, or refused. The text may name a room, never a person."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.not_found: Final = (
            isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND
        )


async def ask(call: Awaitable[Answer]) -> Answer:
    """Return the answer to a call.

    Raises:
        LiveKitFailed: there is none.
    """
    try:
        return await call
    except ERRORS as error:
        raise LiveKitFailed(error) from error


async def unless_gone(call: Awaitable[Any]) -> None:
    """Do something to what may have just gone by itself, which is as good.

    Raises:
        LiveKitFailed: it was not done.
    """
    try:
        await ask(call)
    except LiveKitFailed as error:
        if not error.not_found:
            raise
