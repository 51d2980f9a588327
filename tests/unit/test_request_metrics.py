"""The gateway's answers as they are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.request_metrics import RequestMetrics
from tests.counted import Counted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def answer(request: Request) -> Response:
    """Answer as the request asks, or fail."""
    status = int(request.query_params.get("status", "200"))
    if not status:
        raise RuntimeError("a defect")
    return PlainTextResponse("", status)


@pytest.mark.parametrize(
    ("address", "path", "status"),
    [
        ("/api/token?status=201", "token", "2xx"),
        ("/api/token?status=429", "token", "4xx"),
        ("/api/token?status=0", "token", "5xx"),
        ("/healthz", "health", "2xx"),
        ("/readyz?status=503", "health", "5xx"),
        ("/", "page", "2xx"),
        ("/assets/app.js?status=304", "page", "3xx"),
        ("/api/token/wp-login.php?status=404", "page", "4xx"),
    ],
)
async def test_an_answer_is_counted_by_path_and_class(address: str, path: str, status: str) -> None:
    """Whatever somebody asks for, there are three paths; what fails altogether is a 5xx."""
    counted = Counted("gateway")
    app = Starlette(routes=[Route("/{rest:path}", answer, methods=["GET"])])
    measured = RequestMetrics(app, counted.sink)
    transport = httpx.ASGITransport(measured, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://page.test") as client:
        await client.get(address)
    name = "rejoin_gateway_requests_total"
    assert counted.value(name, path=path, status=status) == 1
    labels = counted.samples()[name.removesuffix("_total")]
    assert labels == [{"path": path, "status": status}]
    assert counted.value("rejoin_gateway_token_seconds_count") == (path == "token")
