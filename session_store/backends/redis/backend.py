"""Redis (or Valkey), 6.2 or newer: one Lua script per operation.

The retries of redis-py are off: the transport decides what is sent again, and how often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from typing_extensions import override

from session_store.backends.redis.sessions import RedisSessions
from session_store.backends.redis.side import RedisSideChannel
from session_store.backends.redis.upkeep import RedisUpkeep
from session_store.backends.transport.options import Replication, TransportOptions
from session_store.backends.transport.transport import Transport

if TYPE_CHECKING:
    from session_store.keys import KeySpace
    from session_store.meter import Meter
    from session_store.settings import StoreSettings
    from session_store.tracing import Tracer


class RedisBackend(RedisSessions, RedisUpkeep):
    """``Backend`` over one Redis, a set with Sentinel, or a Cluster."""

    def __init__(self, transport: Transport, settings: StoreSettings) -> None:
        super().__init__(transport, settings)
        self._side = RedisSideChannel(transport, self._space)

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """Build a backend for ``settings.redis_url``; it connects at the first call.

        Raises:
            InvalidValue: the URL is ``memory://``, or certificates cannot be used.
        """
        return cls(Transport(transport_options(settings)), settings)

    @property
    @override
    def side(self) -> RedisSideChannel:
        return self._side

    @property
    def transport(self) -> Transport:
        """The way to Redis, for parts that look past the contract: the doctor, the monitor."""
        return self._transport

    @property
    def space(self) -> KeySpace:
        """The names of its keys, for the same parts."""
        return self._space

    @override
    def measure(self, meter: Meter) -> None:
        self._meter = self._transport.meter = meter

    @override
    def trace(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @override
    async def ping(self) -> None:
        await self._transport.ping()

    @override
    async def aclose(self) -> None:
        await self._transport.aclose()


def transport_options(settings: StoreSettings) -> TransportOptions:
    """Return the part of the settings that the transport needs."""
    password = settings.redis_sentinel_password
    return TransportOptions(
        address=settings.redis_address,
        timeout_s=settings.redis_timeout_s,
        connections=settings.redis_connections,
        retry_s=settings.redis_retry_s,
        replication=_replication(settings),
        ca_file=settings.redis_ca_file,
        cert_file=settings.redis_cert_file,
        key_file=settings.redis_key_file,
        sentinel_user=settings.redis_sentinel_user,
        sentinel_password=None if password is None else password.get_secret_value(),
    )


def _replication(settings: StoreSettings) -> Replication | None:
    if settings.durability != "replicated":
        return None
    return Replication(settings.replicas_asked, round(settings.replica_timeout_s * 1000))
