"""Failures of providers of speech or language: which part, why, and whether waiting helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from livekit.agents import APIConnectionError, APIError, APITimeoutError, llm, stt, tts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_store.meter import ProviderPart, ProviderTrouble

_AUTH_STATUS: Final = {401, 402, 403}
_TRANSIENT_STATUS: Final = {408, 425}
_RATE_LIMIT_STATUS: Final = 429
_SERVER_ERROR: Final = 500
_CLOSE_CODES: Final = 1000
"""From here on, a number is not an HTTP status but a WebSocket close code (RFC 6455, 7.4)."""
_AUTH_CODES: Final = {
    "invalid_api_key",
    "account_deactivated",
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
}
"""OpenAI's. It reports a used-up quota as "rate limited", but waiting does not help then."""
_RATE_LIMIT_CODES: Final = {"rate_limit_exceeded", "inference_rate_limit_exceeded"}
_SERVER_CODES: Final = {"server_error", "internal_error"}
_MAX_CAUSES: Final = 8


@dataclass(frozen=True, slots=True)
class ProviderFailure:
    """One request, or one connection, that failed."""

    part: ProviderPart
    kind: ProviderTrouble
    passes: bool
    """Whether it may pass by itself. Else the operator has to act."""


def failure_of(error: object) -> ProviderFailure | None:
    """Return the failure that an ``error`` event of an agent session or of a model reports.

    Returns:
        ``None`` if it is not a failure of a provider of speech or language.
    """
    part: ProviderPart
    if isinstance(error, llm.LLMError):
        part = "llm"
    elif isinstance(error, llm.RealtimeModelError):
        part = "realtime"
    elif isinstance(error, stt.STTError):
        part = "stt"
    elif isinstance(error, tts.TTSError):
        part = "tts"
    else:
        return None
    kind, passes = _kind_of(error.error)
    if part == "realtime" and kind == "other":
        # Realtime models also report harmless things as errors, such as a word that came too late.
        passes = bool(_all_codes(error.error) & _SERVER_CODES)
    return ProviderFailure(part, kind, passes)


def _kind_of(error: BaseException) -> tuple[ProviderTrouble, bool]:
    codes = _all_codes(error)
    status = next(filter(None, map(_status, _causes(error))), 0)
    if codes & _AUTH_CODES or status in _AUTH_STATUS:
        return "auth", False
    if codes & _RATE_LIMIT_CODES or status == _RATE_LIMIT_STATUS:
        return "rate_limit", True
    if status >= _CLOSE_CODES:
        return "unreachable", True
    if status:
        return "other", status >= _SERVER_ERROR or status in _TRANSIENT_STATUS
    if isinstance(error, (APIConnectionError, APITimeoutError)):
        return "unreachable", True
    return "other", isinstance(error, APIError) and error.retryable


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: plugins wrap the refusal of a WebSocket, for example."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__


def _all_codes(error: BaseException) -> set[str]:
    return {code for cause in _causes(error) for code in _codes(getattr(cause, "body", None))}


def _status(error: BaseException) -> int:
    """Return the HTTP status of an error; 0 if it has none."""
    for name in ("status_code", "status"):  # LiveKit's and OpenAI's; aiohttp's
        status = getattr(error, name, None)
        if isinstance(status, int) and status > 0:
            return status
    return 0


def _codes(body: Any) -> set[str]:
    """Return the codes in the body of an error, which is JSON or an object."""
    if isinstance(body, dict):
        body = body.get("error", body)
    found = (
        body.get(name) if isinstance(body, dict) else getattr(body, name, None)
        for name in ("code", "type")
    )
    return {code for code in found if isinstance(code, str)}
