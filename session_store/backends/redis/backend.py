"""Redis (or Valkey), 6.2 or newer: one Lua script per operation.

redis-py's own retries are off, so that it is decided here what is repeated, and how often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from session_store.backends.redis.sessions import RedisSessions
from session_store.backends.redis.side import RedisSideChannel
from session_store.backends.redis.upkeep import RedisKeeping
from session_store.backends.transport.transport import Transport

if TYPE_CHECKING:
    from session_store.meter import Meter
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer


class RedisBackend(RedisSessions, RedisKeeping):
    """``Backend`` over one Redis, a set with Sentinel, or a Cluster."""

    def __init__(self, transport: Transport, settings: StoreSettings) -> None:
        super().__init__(transport, settings)
        self._side = RedisSideChannel(transport)

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Connect, at the first call, to what ``settings.redis_url`` names."""
        return cls(Transport.from_settings(settings), settings)

    @property
    def side(self) -> RedisSideChannel:
        """See ``Backend.side``."""
        return self._side

    @property
    def transport(self) -> Transport:
        """The way to Redis, for who must look past the contract: a doctor, a test."""
        return self._transport

    def measure(self, meter: Meter) -> None:
        """See ``Backend.measure``."""
        self._transport.meter = meter

    def trace(self, tracer: Tracer | None) -> None:
        """See ``Backend.trace``."""
        self._transport.tracer = tracer

    async def ping(self) -> None:
        """See ``Backend.ping``."""
        await self._transport.ping()

    async def aclose(self) -> None:
        """See ``Backend.aclose``."""
        await self._transport.aclose()
