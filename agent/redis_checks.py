"""What a worker makes sure of about Redis: at its start, or as soon as Redis is there."""

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
    """Find wrong keys and logins before a job comes. A Redis that is away may come later.

    Raises:
        WrongKey: Redis was written with other keys; everybody would be new.
        LoginRefused, PermissionMissing: this user may not do what is needed.
        KeyringMissing: no keys are configured.
    """
    async with aclosing(SessionStore.from_settings(settings)) as store:
        try:
            await store.check()
        except MAY_PASS as error:
            logger.warning("%s; starting, and trying again", error)


async def watch_start(settings: StoreSettings) -> None:
    """Check the keys until Redis has answered, then warn of what loses conversations.

    With other keys than Redis was written with, this worker is ended: its conversations would be
    those of people whom nobody finds again.
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
                logger.error("the worker ends", extra={"reason": str(error)})  # noqa: TRY400 (the trace tells nothing more)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            else:
                break
        outage.over()
        for finding in await quick(backend, keyring):
            logger.warning("%s: %s; %s", finding.check, finding.says, finding.change)
