"""``/healthz``: the process runs. ``/readyz``: what it needs was reached."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gateway.errors import LiveKitUnavailable
from session_store import SessionStoreError

if TYPE_CHECKING:
    from gateway.parts import Parts

router = APIRouter()
logger = logging.getLogger(__name__)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Answer 200 when Redis (with our keys) and LiveKit were reached; else 503, naming which."""
    parts: Parts = request.app.state.parts
    status = {"redis": "ok", "livekit": "ok"}
    try:
        await parts.check_keys()
        await parts.store.ping()
    except SessionStoreError as error:
        # Where it was looked for is nobody's business but the operator's.
        logger.warning("not ready", extra={"reason": str(error)})
        status["redis"] = "Redis does not answer as it should; the gateway's log says more"
    try:
        await parts.rooms.ping()
    except LiveKitUnavailable:
        status["livekit"] = "LiveKit does not answer as it should; the gateway's log says more"
    ready = set(status.values()) == {"ok"}
    return JSONResponse(status, status_code=200 if ready else 503)
