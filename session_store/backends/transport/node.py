"""One primary, and how to log in there."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from session_store.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_store.backends.transport.options import TransportOptions
    from session_store.redis_address import HostPort

_RESP: Final = 2
"""In version 3 replies of scripts are the same, and each connection costs one command more."""


class _TLSConnection(SSLConnection):
    """Uses a shared context, instead of reading the certificates for each connection."""

    def __init__(self, *, tls: RedisSSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context = tls


@dataclass(frozen=True, slots=True)
class Access:
    """How every connection is made and logs in, whichever node it goes to."""

    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    database: int
    tls: RedisSSLContext | None
    timeout_s: float
    """Bound on establishing a connection, and on each call of a client."""

    @classmethod
    def of(cls, options: TransportOptions) -> Self:
        """Return the access to Redis itself, not to its sentinels.

        Raises:
            InvalidValue: a certificate cannot be read, or is given though there is no TLS.
        """
        address = options.address
        return cls(
            address.user,
            address.password,
            address.database,
            _tls_of(options),
            options.timeout_s,
        )


class Node:
    """One primary. The same object as long as the primary has the same address."""

    __slots__ = ("_class", "_options", "name")

    def __init__(self, access: Access, where: HostPort | str) -> None:
        self.name = str(where)
        """``host:port``, or the path of a socket."""
        self._class: type[AbstractConnection] = Connection
        self._options: dict[str, Any] = {
            "username": access.user,
            "password": access.password,
            "db": access.database,
            "protocol": _RESP,
            "socket_connect_timeout": access.timeout_s,
            # The lane decides what is sent again, because it knows what was sent.
            "retry": Retry(NoBackoff(), 0),
            # No CLIENT SETINFO: it costs two commands per connection and needs two more rights.
            "driver_info": None,
        }
        if isinstance(where, str):
            self._class = UnixDomainSocketConnection
            self._options["path"] = where
            return
        self._options |= {"host": where.host, "port": where.port}
        if access.tls is not None:
            self._class = _TLSConnection
            self._options["tls"] = access.tls

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def make_connection(self) -> AbstractConnection:
        """Make a connection that is not connected yet, and that waits without end for replies.

        Establishing it is bounded, but logging in is not: put a bound on ``connect()`` as a whole.
        """
        return self._class(**self._options, socket_timeout=None)

    def make_client(self) -> Redis:
        """Make an ordinary client; the caller closes it."""
        timeout_s = self._options["socket_connect_timeout"]
        pool = ConnectionPool(
            connection_class=self._class, **self._options, socket_timeout=timeout_s
        )
        return Redis.from_pool(pool)

    async def ask(self, *commands: Sequence[str], timeout_s: float) -> list[Any]:
        """Send commands on a connection of their own, in one round trip.

        Returns:
            One raw reply per command; a ``ResponseError`` is returned in its place, not raised.

        Raises:
            redis.exceptions.RedisError, OSError: no connection, no login, no answer in time.
        """
        connection = self.make_connection()
        try:
            async with asyncio.timeout(timeout_s):
                # This call also connects.
                await connection.send_packed_command(connection.pack_commands(commands))
                return [await _reply(connection) for _ in commands]
        except TimeoutError:
            raise RedisTimeoutError(f"{self.name} did not answer in {timeout_s:g} s") from None
        finally:
            await connection.disconnect(nowait=True)


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _tls_of(options: TransportOptions) -> RedisSSLContext | None:
    files = (options.ca_file, options.cert_file, options.key_file)
    if not options.address.tls:
        if any(files):
            raise InvalidValue(
                "certificates are set for Redis, but REJOIN_REDIS_URL asks for no TLS; begin it "
                "with rediss"
            )
        return None
    ca_file, cert_file, key_file = files
    shared = RedisSSLContext()
    try:
        shared.context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            shared.context.load_cert_chain(cert_file, key_file)
    except OSError as error:
        raise InvalidValue(
            "REJOIN_REDIS_CA_FILE, REJOIN_REDIS_CERT_FILE or REJOIN_REDIS_KEY_FILE cannot be "
            f"used: {error.strerror or type(error).__name__}"
        ) from None
    return shared
