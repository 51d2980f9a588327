"""The settings, the backend and the store of one run."""

from __future__ import annotations

import getpass
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from session_store.backends.redis.backend import RedisBackend
from session_store.cli.exit_codes import usage_error
from session_store.redis_address import Kind
from session_store.sealing.keyring import Keyring
from session_store.settings import StoreSettings
from session_store.store import SessionStore
from session_store.upkeep.audit import AuditLog
from session_store.upkeep.observers import watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ENV_FILE: Final = Path(".env.local")
"""Read if it exists, as the agent and the gateway do. The environment wins."""

_MAX_ACTOR_CHARS: Final = 200


class Environment:
    """Where the settings come from. The options before the command set it once."""

    def __init__(self) -> None:
        self.env_file = ENV_FILE
        self.debug = False

    def settings(self) -> StoreSettings:
        """Read the settings.

        Raises:
            ValidationError: a setting is not valid.
        """
        return StoreSettings(_env_file=self.env_file, _env_file_encoding="utf-8")


environment: Final = Environment()


@asynccontextmanager
async def connected_backend(settings: StoreSettings) -> AsyncIterator[RedisBackend]:
    """Connect to Redis without any key, which is enough for numbers.

    Raises:
        StoreUnavailable, StoreRefused: Redis was not reached.
    """
    async with unconnected_backend(settings) as backend:
        await backend.ping()
        yield backend


@asynccontextmanager
async def unconnected_backend(settings: StoreSettings) -> AsyncIterator[RedisBackend]:
    """Make a backend that has not connected yet: Redis may be unreachable."""
    if settings.redis_address.kind is Kind.MEMORY:
        raise usage_error("memory:// lives inside one process; set REJOIN_REDIS_URL to a Redis")
    backend = RedisBackend.from_settings(settings)
    try:
        yield backend
    finally:
        await backend.aclose()


@asynccontextmanager
async def connected_store(
    settings: StoreSettings,
) -> AsyncIterator[tuple[RedisBackend, SessionStore]]:
    """Connect to Redis, and check that our keys are those it was written with.

    Raises:
        KeyringMissing, WrongKey: keys are missing or wrong; nothing was changed.
        StoreUnavailable, StoreRefused: Redis was not reached.
    """
    keyring = Keyring.from_settings(settings)
    async with connected_backend(settings) as backend:
        # Unlike ``SessionStore.check``, it writes no check values: a look must not be a write.
        keyring.verify_check_values(await backend.check_values({}))
        async with watched(SessionStore(backend, keyring), actor=_actor()) as store:
            yield backend, store


def audit_of(store: SessionStore) -> AuditLog:
    """Return an audit log whose actor is the user of this machine who runs the program."""
    return AuditLog(store.side, store.keyring, actor=_actor())


def _actor() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"
    return f"cli:{user[:_MAX_ACTOR_CHARS]}"
