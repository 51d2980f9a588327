"""``python -m gateway``: check the settings, then serve the page and the API."""

from __future__ import annotations

import asyncio
import logging
import sys

import uvicorn
from dotenv import load_dotenv
from pydantic import ValidationError

from gateway.app import create_app
from gateway.request_ids import RequestIdFilter
from gateway.settings import GatewaySettings
from session_store import SessionStore, SessionStoreError, StoreSettings
from session_store.errors import MAY_PASS
from session_store.logs import LogSettings, configure
from session_store.meter import NO_METER, Meter
from session_store.settings import explain

logger = logging.getLogger(__name__)


async def _check_keys(settings: StoreSettings) -> None:
    """Find wrong keys before anything is served. Redis may become reachable later."""
    store = SessionStore.from_settings(settings)
    try:
        await store.check()
    except MAY_PASS as error:
        logger.warning("%s; serving, and checking the keys again with each request", error)
    finally:
        await store.aclose()


def _meter(settings: GatewaySettings) -> Meter:
    """Return what counts. If a port is set, serve the metrics there from now on."""
    if settings.gateway_metrics_port is None:
        return NO_METER
    from session_store.metrics import sink  # noqa: PLC0415 (an optional extra)
    from session_store.metrics.endpoint import Endpoint  # noqa: PLC0415

    Endpoint(settings.gateway_host, settings.gateway_metrics_port).show_gateway()
    return sink("gateway")


def main() -> int:
    """Run the gateway until it is stopped."""
    load_dotenv(".env.local")
    try:
        configure(LogSettings(), RequestIdFilter())
        settings, store_settings = GatewaySettings(), StoreSettings()
        if not (settings.gateway_page / "index.html").is_file():
            sys.stderr.write(
                f"gateway: the page is not built in {settings.gateway_page}; "
                "run 'npm ci && npm run build' in web/, or set GATEWAY_PAGE\n"
            )
            return 1
        asyncio.run(_check_keys(store_settings))
        app = create_app(settings, store_settings, meter=_meter(settings))
    except ValidationError as error:
        sys.stderr.write(f"gateway: {explain(error)}\n")
        return 2
    except SessionStoreError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    uvicorn.run(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
