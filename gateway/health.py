"""``/healthz``: the process runs. ``/readyz``: Redis and LiveKit were reached."""

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
    """Answer 200 if Redis (with our keys) and LiveKit were reached; else 503 and which failed."""
    parts: Parts = request.app.state.parts
    status = {"redis": "ok", "livekit": "ok"}
    try:
        await parts.check_keys()
        await parts.store.ping()
    except SessionStoreError as error:
        # The reason names hosts: it is for the operator's log, not for the caller.
        logger.warning("not ready", extra={"reason": str(error)})
        status["redis"] = "Redis does not answer as it should; the gateway's log has the reason"
    try:
        await parts.rooms.ping()
    except LiveKitUnavailable:
        status["livekit"] = "LiveKit does not answer as it should; the gateway's log has the reason"
    ready = set(status.values()) == {"ok"}
    return JSONResponse(status, status_code=200 if ready else 503)
