"""What a provider's failure is taken for, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, llm, stt
from livekit.agents.inference import InterruptionDetectionError

from session_store.livekit.providers.failures import ProviderFailure, failure_of
from session_store.livekit.providers.words import words_of_failure


def status(code: int, reason: str | None = None) -> APIStatusError:
    """Return what a plugin raises for an answer."""
    return APIStatusError("no", status_code=code, body={"error": {"code": reason}})


def refused_socket(code: int) -> APIConnectionError:
    """Return what a plugin raises whose WebSocket was refused."""
    request: Any = SimpleNamespace(real_url="ws://provider")
    error = APIConnectionError("no connection")
    error.__cause__ = aiohttp.WSServerHandshakeError(request, (), status=code)
    return error


@pytest.mark.parametrize(
    ("error", "kind", "passes"),
    [
        (status(401), "auth", False),
        (status(403), "auth", False),
        (status(402), "auth", False),
        (status(429, "insufficient_quota"), "auth", False),
        (refused_socket(401), "auth", False),
        (status(429), "rate_limit", True),
        (refused_socket(429), "rate_limit", True),
        (status(408), "other", True),
        (status(500), "other", True),
        (status(503), "other", True),
        (status(400), "other", False),
        (status(404), "other", False),
        (status(1006), "unreachable", True),
        (APIConnectionError(), "unreachable", True),
        (APITimeoutError(), "unreachable", True),
        (APIError("no sound"), "other", True),
        (ValueError("a fault of the plugin's"), "other", False),
    ],
)
def test_a_failure_is_of_one_kind(error: Exception, kind: str, passes: bool) -> None:  # noqa: FBT001 (a table)
    """By the status and the code of the answer, however it is wrapped."""
    event = llm.LLMError(timestamp=0.0, label="x", error=error, recoverable=False)
    assert failure_of(event) == ProviderFailure("llm", kind, passes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "kind", "passes"),
    [
        ("invalid_api_key", "auth", False),
        ("rate_limit_exceeded", "rate_limit", True),
        ("server_error", "other", True),
        ("item_truncate_invalid_item_id", "other", False),
    ],
)
def test_a_realtime_model_says_why_by_a_code(code: str, kind: str, passes: bool) -> None:  # noqa: FBT001 (a table)
    """Whatever else it reports is none of the participant's business."""
    error = APIError("no", body=SimpleNamespace(code=code, type="x"))
    event = llm.RealtimeModelError(timestamp=0.0, label="x", error=error, recoverable=True)
    assert failure_of(event) == ProviderFailure("realtime", kind, passes)  # type: ignore[arg-type]


def test_what_is_no_provider_of_words_is_left_to_livekit() -> None:
    """Its detector of interruptions has another one to fall back on."""
    event = InterruptionDetectionError(
        timestamp=0.0, label="x", error=ValueError(), recoverable=False
    )
    assert failure_of(event) is None


@pytest.mark.parametrize("language", ["en", "es", "de", "fr"])
def test_each_failure_has_words_of_its_own(language: str) -> None:
    """In each language, and none of them is of a machine."""
    failures = [
        ProviderFailure("llm", "auth", passes=False),
        ProviderFailure("llm", "rate_limit", passes=True),
        ProviderFailure("realtime", "unreachable", passes=True),
        ProviderFailure("stt", "unreachable", passes=True),
    ]
    said = [words_of_failure(each, language, has_spare_voice=False) for each in failures]
    voice = ProviderFailure("tts", "auth", passes=False)
    said += [words_of_failure(voice, language, has_spare_voice=spare) for spare in (True, False)]
    assert len(set(said)) == len(said)
    assert not any(word in " ".join(said).lower() for word in ("api", "error", "token", "llm"))
    assert (said[0] == words_of_failure(failures[0], "en", has_spare_voice=False)) == (
        language == "en"
    )


def test_an_unknown_language_is_told_in_english() -> None:
    """Better than nothing."""
    failure = failure_of(
        stt.STTError(timestamp=0.0, label="x", error=status(500), recoverable=False)
    )
    assert failure is not None
    words = words_of_failure(failure, "xx", has_spare_voice=False)
    assert words == "I can't hear you right now. You can type to me."
