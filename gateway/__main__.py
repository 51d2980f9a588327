"""``python -m gateway``: check the settings, then serve the page and the API."""

from __future__ import annotations

import asyncio
import logging
import sys

import uvicorn
from dotenv import load_dotenv
from pydantic import ValidationError

from gateway.app import create_app
from gateway.logs import configure
from gateway.settings import GatewaySettings
from session_store import SessionStore, SessionStoreError, StoreSettings, StoreUnavailable
from session_store.settings import explain

logger = logging.getLogger(__name__)


async def _check_keys(settings: StoreSettings) -> None:
    """Find wrong keys before anything is served. A Redis that is away may come later."""
    store = SessionStore.from_settings(settings)
    try:
        await store.check()
    except StoreUnavailable as error:
        logger.warning("%s; serving, and trying again with each request", error)
    finally:
        await store.aclose()


def main() -> int:
    """Run the gateway until it is stopped."""
    load_dotenv(".env.local")
    configure()
    try:
        settings, store_settings = GatewaySettings(), StoreSettings()
        if not (settings.gateway_page / "index.html").is_file():
            sys.stderr.write(
                f"gateway: the page is not built in {settings.gateway_page}; "
                "run 'npm ci && npm run build' in web/, or set GATEWAY_PAGE\n"
            )
            return 1
        asyncio.run(_check_keys(store_settings))
        app = create_app(settings, store_settings)
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
