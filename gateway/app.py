"""The gateway's application: its parts, its routes and its middleware."""

from __future__ import annotations

import logging
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from gateway import errors, health, sessions
from gateway.limits import CallerLimits
from gateway.parts import Parts
from gateway.request_ids import RequestIds
from gateway.request_metrics import RequestMetrics
from gateway.rooms import Rooms
from gateway.security import Guard, response_headers
from session_store import Keyring, SessionStore, StoreSettings
from session_store.backends.choice import backend_of
from session_store.doctor import quick
from session_store.errors import MAY_PASS
from session_store.meter import NO_METER
from session_store.upkeep.observers import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.settings import GatewaySettings
    from session_store.meter import Meter

logger = logging.getLogger(__name__)

BURST: Final = 20
"""Requests of one participant at once: a page may reload and reconnect several times in a row."""


def create_app(
    settings: GatewaySettings, store_settings: StoreSettings, *, meter: Meter = NO_METER
) -> FastAPI:
    """Build the application.

    Args:
        settings: settings of the gateway.
        store_settings: how to reach the store.
        meter: counts and times requests and dispatches. By default nothing is counted.

    Raises:
        KeyringMissing: no encryption key is configured.
    """
    keyring, backend = Keyring.from_settings(store_settings), backend_of(store_settings)
    store = SessionStore(backend, keyring)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Open what must be closed later, and check the keys. Wrong keys end the start."""
        async with (
            aclosing(store),
            watched(store, actor="gateway", meter=meter),
            Rooms(settings, store, store_settings, meter=meter) as rooms,
        ):
            app.state.parts = parts = Parts(
                settings,
                store,
                rooms,
                limits_by_participant=CallerLimits(settings.gateway_asks_per_minute, BURST),
                limits_by_address=CallerLimits(
                    settings.gateway_asks_per_minute_address,
                    settings.gateway_asks_per_minute_address,
                ),
            )
            try:
                await parts.check_keys()
            except MAY_PASS as error:
                logger.warning("starting without Redis", extra={"reason": str(error)})
            for finding in await quick(backend, keyring):
                logger.warning("%s: %s; %s", finding.check, finding.says, finding.change)
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    errors.install(app)
    app.include_router(health.router)
    app.include_router(sessions.router)
    app.mount("/", StaticFiles(directory=settings.gateway_page, html=True))
    app.add_middleware(Guard, headers=response_headers(settings.public_url))
    app.add_middleware(RequestIds)
    app.add_middleware(RequestMetrics, meter=meter)
    return app
