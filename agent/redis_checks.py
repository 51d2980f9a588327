"""Checks of Redis at a worker's start, or as soon as Redis is reachable."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING

from session_store import Keyring, SessionStore, StoreRefused, StoreUnavailable
from session_store.backends.choice import backend_of
from session_store.doctor import quick
from session_store.errors import MAY_PASS, WrongKey
from session_store.tasks import Outage

if TYPE_CHECKING:
    from session_store import StoreSettings

logger = logging.getLogger(__name__)


async def check_at_start(settings: StoreSettings) -> None:
    """Find wrong keys and logins before a job comes. Redis may become reachable later.

    Raises:
        WrongKey: Redis was written with other keys; every participant would look new.
        LoginRefused, PermissionMissing: this user lacks a right that the agent needs.
        KeyringMissing: no keys are configured.
    """
    async with aclosing(SessionStore.from_settings(settings)) as store:
        try:
            await store.check()
        except MAY_PASS as error:
            logger.warning("%s; starting, and checking again later", error)


async def watch_start(settings: StoreSettings) -> None:
    """Check the keys until Redis answers, then warn of settings that lose conversations.

    If Redis was written with other keys, this ends the worker: its conversations would belong to
    pseudonyms that no other process can find.
    """
    keyring, backend = Keyring.from_settings(settings), backend_of(settings)
    async with aclosing(SessionStore(backend, keyring)) as store:
        outage = Outage(logger, "the check of the keys", "")
        while True:
            try:
                await store.check()
            except (StoreUnavailable, StoreRefused) as error:
                await outage.pause(error)
            except WrongKey as error:
                logger.error("wrong keys: the worker ends", extra={"reason": str(error)})  # noqa: TRY400 (a traceback adds nothing)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            else:
                break
        outage.over()
        for finding in await quick(backend, keyring):
            logger.warning("%s: %s; %s", finding.check, finding.says, finding.change)
