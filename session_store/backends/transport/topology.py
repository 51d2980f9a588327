"""Where the primaries are: one, one that may change, or many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from session_store.backends.transport.cluster import Cluster
from session_store.backends.transport.node import Access, Node
from session_store.backends.transport.sentinel import Sentinels
from session_store.backends.transport.standalone import Standalone
from session_store.errors import InvalidValue
from session_store.redis_address import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from session_store.settings import StoreSettings


class Topology(Protocol):
    """Finds the primaries, and makes connections to them. It keeps none itself."""

    async def connect(self) -> None:
        """Find the primaries, unless they are known. Concurrent calls share one discovery.

        Raises:
            redis.exceptions.RedisError, OSError: nobody said in time where they are.
        """
        ...

    def node_of(self, key: str) -> Node:
        """Return the primary of a key, as last found. No round trip.

        Raises:
            redis.exceptions.RedisError: none was found yet, or none serves this key's slot.
        """
        ...

    def nodes(self) -> Sequence[Node]:
        """Return all primaries, as last found; none before ``connect``."""
        ...

    async def refresh(self) -> None:
        """Find the primaries anew. Concurrent calls share one discovery.

        Raises:
            redis.exceptions.RedisError, OSError: as ``connect``; what was known stays known.
        """
        ...

    def plain_client(self) -> Redis:
        """Make an ordinary client to a primary, any one on a Cluster; the caller closes it.

        It stays with that primary: after a failover, make another.

        Raises:
            redis.exceptions.RedisError: none was found yet.
        """
        ...

    async def aclose(self) -> None:
        """Stop what is running. Connections are closed by who made them."""
        ...


def topology_of(settings: StoreSettings) -> Topology:
    """Build what ``redis_url`` describes; it connects to nothing yet.

    Raises:
        InvalidValue: the URL is ``memory://``, or certificates cannot be used.
    """
    address = settings.redis_address
    access = Access.from_settings(settings)
    match address.kind:
        case Kind.STANDALONE:
            return Standalone(Node(access, address.hosts[0]))
        case Kind.UNIX:
            return Standalone(Node(access, address.path))
        case Kind.CLUSTER:
            return Cluster(access, address.hosts)
        case Kind.SENTINEL:
            password = settings.redis_sentinel_password
            sentinel_access = replace(
                access,
                user=settings.redis_sentinel_user,
                password=None if password is None else password.get_secret_value(),
                database=0,
            )
            return Sentinels(access, sentinel_access, address.hosts, address.service)
        case Kind.MEMORY:
            raise InvalidValue("REJOIN_REDIS_URL is memory://, which is no Redis")
