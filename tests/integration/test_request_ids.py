"""Each request to the gateway has a name, which finds its lines in the log."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from fastapi.routing import APIRoute

from gateway.app import create_app
from gateway.request_ids import RequestIdFilter
from gateway.settings import GatewaySettings
from session_store import StoreSettings
from session_store.logs import LogSettings, configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "my parrot is called Leonardo"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Log as the gateway does, into memory."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(LogSettings(log_format="json"), RequestIdFilter(), stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def nowhere(tmp_path: Path, key_file: Path) -> tuple[GatewaySettings, StoreSettings]:
    """Return settings of a gateway whose LiveKit and Redis are away."""
    page = tmp_path / "page"
    page.mkdir()
    gateway = GatewaySettings(
        livekit_url="ws://127.0.0.1:1",
        livekit_api_key="key",
        livekit_api_secret="secret" * 8,
        gateway_page=page,
    )
    url = "redis://127.0.0.1:1/0"
    return gateway, StoreSettings.model_validate({"redis_url": url, "key_file": key_file})


async def test_an_answer_s_name_is_on_the_lines_logged_for_it(
    nowhere: tuple[GatewaySettings, StoreSettings], log: io.StringIO
) -> None:
    """Also that of a request which fails by a defect, and never one that the caller chose."""
    app = create_app(*nowhere)

    async def defect() -> None:
        raise RuntimeError(SECRET)

    # In front of the page, which answers everything.
    app.router.routes.insert(0, APIRoute("/api/defect", defect))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://page.test") as client,
    ):
        not_ready = await client.get("/readyz", headers={"x-request-id": "chosen"})
        broken = await client.get("/api/defect")

    lines = [json.loads(line) for line in log.getvalue().splitlines()]

    def named_as(answer: httpx.Response) -> list[dict[str, Any]]:
        name = answer.headers["x-request-id"]
        # The client is in this process, too.
        ours = [each for each in lines if each["name"].startswith("gateway")]
        return [each for each in ours if each.get("request_id") == name]

    assert (not_ready.status_code, broken.status_code) == (503, 500)
    assert {each["message"] for each in named_as(not_ready)} == {"not ready", "LiveKit failed"}
    [line] = named_as(broken)
    assert line["message"] == "a request failed"
    assert line["exc_info"].endswith("\nRuntimeError")
    assert SECRET not in log.getvalue()
    assert "chosen" not in log.getvalue()
