"""The choice of the backend, by the URL in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_store.backends.memory.backend import MemoryBackend
from session_store.backends.redis.backend import RedisBackend
from session_store.redis_address import Kind

if TYPE_CHECKING:
    from session_store.backends.contract import Backend
    from session_store.settings import StoreSettings


def backend_of(settings: StoreSettings) -> Backend:
    """Build the backend that ``REJOIN_REDIS_URL`` names."""
    if settings.redis_address.kind is Kind.MEMORY:
        return MemoryBackend.from_settings(settings)
    return RedisBackend.from_settings(settings)
