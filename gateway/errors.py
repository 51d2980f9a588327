"""Errors as the page receives them: a code to act on, and a sentence for the participant."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from gateway.request_ids import HEADER, current
from session_store import SessionStoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

logger = logging.getLogger(__name__)


class GatewayError(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


class LiveKitUnavailable(GatewayError):
    """LiveKit did not answer, or it refused."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "livekit_unavailable",
            "The voice service does not answer. Try again in a moment; nothing is lost.",
        )


class ConversationUnreadable(GatewayError):
    """The session to resume does not open. The participant may begin a new one."""

    def __init__(self) -> None:
        super().__init__(
            409,
            "conversation_unreadable",
            "Your earlier conversation is kept, but it cannot be opened. You can start a new one.",
        )


class OperatorNeeded(GatewayError):
    """The participant's data key does not open, so a new session would not open either."""

    def __init__(self) -> None:
        super().__init__(
            409,
            "operator_needed",
            "Your conversations are kept, but none of them can be opened, and no new one can "
            "begin. Please tell the operator of this service; then try again.",
        )


class AgentKeepsFailing(GatewayError):
    """The agents of this session died again and again: none is dispatched for a while."""

    def __init__(self) -> None:
        super().__init__(
            409,
            "agent_keeps_failing",
            "The assistant stopped several times in this conversation. What was said is kept. Try "
            "again in a minute, or start a new conversation.",
        )


class GoesOnElsewhere(GatewayError):
    """Another page load of the participant is in the room, and must not be disconnected."""

    def __init__(self) -> None:
        super().__init__(
            409,
            "goes_on_elsewhere",
            "This conversation goes on in another window or on another device. Close it there, or "
            "take it over here.",
        )


class TooManyRequests(GatewayError):
    """A participant or an address sends more requests than a page does."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(
            429,
            "too_many_requests",
            f"There are too many requests from here. Try again in {wait_s} s; nothing is lost.",
            {"retry-after": str(wait_s)},
        )


def install(app: FastAPI) -> None:
    """Answer every error as ``{"error": {"code", "message"}}``, without a traceback."""

    @app.exception_handler(GatewayError)
    async def refused(_: Request, error: GatewayError) -> JSONResponse:
        return answer(error.status, error.code, error.message, error.headers)

    @app.exception_handler(SessionStoreError)
    async def store_failed(_: Request, error: SessionStoreError) -> JSONResponse:
        logger.warning("the store failed: answering with an error", extra={"reason": str(error)})
        if isinstance(error, StoreUnavailable):
            return answer(
                503,
                "store_unavailable",
                "The memory service does not answer. Try again in a moment; nothing is lost.",
            )
        return answer(
            500,
            "store_refused",
            "Your conversation cannot be opened right now. It is saved; please try again later.",
        )

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        return answer(422, "malformed_request", _explain(error))

    @app.exception_handler(StarletteHTTPException)
    async def http_error(_: Request, error: StarletteHTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed"}
        code = codes.get(error.status_code, "http_error")
        return answer(error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        logger.error("a request failed", exc_info=error)
        # This answer bypasses the middleware, which would add the header.
        name = {HEADER: current() or ""}
        return answer(500, "internal", "Something went wrong here. Please try again.", name)


def answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Build the answer to a request that failed."""
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


def _explain(error: RequestValidationError) -> str:
    """Name the fields that are not valid, without repeating their values."""
    reasons = []
    for each in error.errors()[:5]:
        field = ".".join(str(part) for part in each["loc"][1:])[:100]
        if each["type"] == "json_invalid":
            return "The body is not valid JSON."
        reasons.append(f"{field}: {each['msg']}" if field else str(each["msg"]))
    return "; ".join(reasons) + "."
