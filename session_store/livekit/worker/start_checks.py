"""What is checked before a worker registers: without it each of its jobs would fail."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from session_store.errors import SessionStoreError
from session_store.redis_address import Kind
from session_store.sealing.keyring import Keyring
from session_store.settings import StoreSettings, explain

if TYPE_CHECKING:
    from pathlib import Path

    from livekit.agents import AgentServer

logger = logging.getLogger(__name__)


class NotReady(Exception):
    """The worker must not take jobs. The message is one line that says what to do."""


def settings_for(server: AgentServer, given: StoreSettings | None) -> StoreSettings | None:
    """Return the settings of a worker that is about to register; ``None`` if it need not watch.

    Redis and LiveKit need not be reachable yet: they may come later.

    Args:
        server: the worker. One that does not register (LiveKit's console) is not watched over.
        given: the settings, or ``None`` for those of the environment.

    Raises:
        NotReady: a setting or a key is missing or not valid, or a folder cannot be written.
    """
    if not registers(server):
        return None
    try:
        settings = given or StoreSettings()
        if not settings.enabled:
            logger.warning("conversations are not kept: REJOIN_ENABLED is off")
            return None
        if settings.redis_address.kind is Kind.MEMORY:
            raise NotReady(
                "REJOIN_REDIS_URL is memory://, and each job is a process that forgets all at its "
                "end: set it to a Redis, or set REJOIN_ENABLED=0"
            )
        Keyring.from_settings(settings)
    except ValidationError as error:
        raise NotReady(explain(error)) from None
    except SessionStoreError as error:
        raise NotReady(str(error)) from None
    if settings.spool_dir is not None:
        _make(settings.spool_dir)
    _warn_of_load(server)
    return settings


def registers(server: AgentServer) -> bool:
    """Return whether a worker connects to LiveKit to get jobs; its console does not."""
    connection: Any = server._conn_task  # noqa: SLF001 (no version shows it)
    return connection is not None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(f"REJOIN_SPOOL_DIR: {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotReady(f"REJOIN_SPOOL_DIR: {folder} cannot be written")


def _warn_of_load(server: AgentServer) -> None:
    # LiveKit's own measures the CPU, in every version, under different names.
    if getattr(server.load_fnc, "__module__", "livekit").startswith("livekit"):
        logger.warning(
            "this worker reports its load by the CPU: at a busy moment LiveKit drops dispatches in "
            "silence, successors too; pass AgentServer(load_fnc=...) one that counts jobs"
        )
