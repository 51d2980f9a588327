"""Settings, backend and store of one run."""

from __future__ import annotations

import getpass
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from session_store.backends.redis.backend import RedisBackend
from session_store.cli.exits import usage
from session_store.redis_address import Kind
from session_store.sealing.crypto import Keyring
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.observers import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ENV_FILE: Final = Path(".env.local")
"""Read where it is, as the agent and the gateway do; the environment wins."""

_MAX_ACTOR_CHARS: Final = 200


class Environment:
    """Where the settings come from; said once, before the command."""

    def __init__(self) -> None:
        self.env_file = ENV_FILE
        self.debug = False

    def settings(self) -> StoreSettings:
        """Read the settings.

        Raises:
            ValidationError: one of them is wrong.
        """
        return StoreSettings(_env_file=self.env_file, _env_file_encoding="utf-8")


environment: Final = Environment()


@asynccontextmanager
async def opened_backend(settings: StoreSettings) -> AsyncIterator[RedisBackend]:
    """Reach Redis, without any key: enough for numbers.

    Raises:
        StoreUnavailable, StoreRefused: it is not reached.
    """
    async with unreached_backend(settings) as backend:
        await backend.ping()
        yield backend


@asynccontextmanager
async def unreached_backend(settings: StoreSettings) -> AsyncIterator[RedisBackend]:
    """Make the same, whether Redis is there or not."""
    if settings.redis_address.kind is Kind.MEMORY:
        raise usage("memory:// is inside of one process; set REJOIN_REDIS_URL to a Redis")
    backend = RedisBackend.from_settings(settings)
    try:
        yield backend
    finally:
        await backend.aclose()


@asynccontextmanager
async def opened_store(settings: StoreSettings) -> AsyncIterator[tuple[RedisBackend, SessionStore]]:
    """Reach Redis, with the keys that it was written with.

    Raises:
        KeyringMissing, WrongKey: they are missing, or others; nothing was changed.
        StoreUnavailable, StoreRefused: Redis is not reached.
    """
    keyring = Keyring.from_settings(settings)
    async with opened_backend(settings) as backend:
        # Unlike ``SessionStore.check`` it leaves no proofs: looking must not be the first write.
        keyring.verify_check_values(await backend.check_values({}))
        async with watched(SessionStore(backend, keyring), actor=_actor()) as store:
            yield backend, store


def audit_of(store: SessionStore) -> AuditLog:
    """Audit as the user of this machine who runs the program."""
    return AuditLog(store.side, store.keyring, actor=_actor())


def _actor() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"cli:{user[:_MAX_ACTOR_CHARS]}"
