"""Calls to LiveKit's API, and how they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from livekit import api

if TYPE_CHECKING:
    from collections.abc import Awaitable

Answer = TypeVar("Answer")

CALL_S: Final = 5.0
"""Timeout of each call. LiveKit itself gives up on an unreachable participant after 3 s."""
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
    """Make a call about something that may be gone already; that counts as success.

    Raises:
        LiveKitFailed: the call failed for another reason.
    """
    try:
        await ask(call)
    except LiveKitFailed as error:
        if not error.not_found:
            raise
