"""Where Redis is: the parser of its URL.

``redis://``, ``redis+sentinel://`` and ``redis+cluster://``, with ``rediss`` for TLS and ``valkey``
as another name; ``unix://`` for a socket; ``memory://`` for no Redis at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self
from urllib.parse import unquote

DEFAULT_PORT: Final = 6379
DEFAULT_SENTINEL_PORT: Final = 26379
_LAST_PORT: Final = 65535


class Kind(StrEnum):
    """What kind of server the address names."""

    STANDALONE = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"
    UNIX = "unix"
    MEMORY = "memory"


_FAMILIES: Final = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}
"""The scheme before the ``+``, and whether it means TLS."""
_KINDS: Final = {"": Kind.STANDALONE, "sentinel": Kind.SENTINEL, "cluster": Kind.CLUSTER}
"""The scheme after it."""
_HOST: Final = re.compile(
    r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<six>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]+")
_DATABASE: Final = re.compile(r"[0-9]{1,6}")

_WRITE: Final = {
    Kind.STANDALONE: "write redis://[user:password@]host[:port][/database]",
    Kind.SENTINEL: (
        "write redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/database], "
        "where the hosts are the sentinels'"
    ),
    Kind.CLUSTER: "write redis+cluster://[user:password@]host[:port][,host[:port]...]",
    Kind.UNIX: "write unix://[user:password@]/path/to/the/socket[?db=database]",
    Kind.MEMORY: "write memory:// and nothing more",
}
_ESCAPE: Final = "in user and password, write each of @ : / ? # % as %40 %3A %2F %3F %23 %25"


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where one process listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str, default_port: int = DEFAULT_PORT) -> Self:
        """Read ``host``, ``host:port`` or ``[IPv6 address]:port``.

        Raises:
            ValueError: it is none of these. The message does not repeat it, because text in the
                place of the host may be part of a password.
        """
        found = _HOST.fullmatch(text)
        port = int((found and found["port"]) or default_port)
        if found is None or not 1 <= port <= _LAST_PORT:
            raise ValueError(
                f"a host is a name or an IP address (IPv6 in brackets), with a port up to "
                f"{_LAST_PORT} or none"
            )
        return cls(found["name"] or found["six"], port)


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed URL. Neither ``repr`` nor ``str`` shows the password."""

    kind: Kind
    hosts: tuple[HostPort, ...] = ()
    """The server; with Sentinel the sentinels; of a Cluster any of its nodes, one is enough."""
    tls: bool = False
    user: str | None = field(default=None, repr=False)
    """Hidden too: without the ``:`` the password is in its place."""
    password: str | None = field(default=None, repr=False)
    database: int = 0
    service: str = ""
    """The name under which the sentinels know the primary."""
    path: str = ""
    """The path of the socket, with ``unix://``."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it is not valid. The message says what to write, and repeats nothing of
                the URL, because any part of it may be part of a password.
        """
        scheme, separator, rest = url.strip().partition("://")
        family, _, suffix = scheme.lower().partition("+")
        if not separator or url != url.strip():
            raise ValueError(_schemes())
        if family in _FAMILIES and suffix in _KINDS and not scheme.endswith("+"):
            return cls._parse_network(_KINDS[suffix], rest, tls=_FAMILIES[family])
        match scheme.lower():
            case Kind.UNIX:
                return cls._parse_unix(rest)
            case Kind.MEMORY if rest in ("", "/"):
                return cls(Kind.MEMORY)
            case Kind.MEMORY:
                raise _mistake(Kind.MEMORY, "an address in memory has no parts")
        raise ValueError(_schemes())

    @classmethod
    def _parse_network(cls, kind: Kind, rest: str, *, tls: bool) -> Self:
        if "?" in rest or "#" in rest:
            raise _mistake(kind, f"nothing may follow ? or #; options are settings, and {_ESCAPE}")
        authority, _, path = rest.partition("/")
        user, password, authority = _credentials(kind, authority)
        default_port = DEFAULT_SENTINEL_PORT if kind is Kind.SENTINEL else DEFAULT_PORT
        try:
            hosts = tuple(HostPort.parse(host, default_port) for host in authority.split(","))
        except ValueError as error:
            raise _mistake(kind, f"{error}; {_ESCAPE}") from None
        service = ""
        if kind is Kind.SENTINEL:
            service, _, path = path.partition("/")
            if _SERVICE.fullmatch(service) is None:
                raise _mistake(kind, "the name of the service is missing, or has odd characters")
        elif kind is Kind.STANDALONE and len(hosts) > 1:
            raise _mistake(kind, "more than one host means redis+sentinel:// or redis+cluster://")
        database = _database(kind, path)
        if kind is Kind.CLUSTER and database:
            raise _mistake(kind, "a Cluster has no database but 0")
        return cls(kind, hosts, tls, user, password, database, service)

    @classmethod
    def _parse_unix(cls, rest: str) -> Self:
        kind = Kind.UNIX
        authority, slash, path = rest.partition("/")
        path, _, query = path.partition("?")
        user, password, host = _credentials(kind, authority)
        if host or not slash or not path or "#" in path:
            raise _mistake(kind, "a socket has a path and no host")
        if query and not query.startswith("db="):
            raise _mistake(kind, "nothing but db= may follow the ?")
        database = _database(kind, query.removeprefix("db="))
        path = _decoded(kind, f"/{path}")
        return cls(kind, user=user, password=password, database=database, path=path)

    @property
    def where(self) -> str:
        """The hosts, or the path of the socket, for messages."""
        return self.path or ",".join(map(str, self.hosts))

    def __str__(self) -> str:
        """Return the URL, without user and password."""
        scheme = self.kind.value
        if self.tls:
            scheme = scheme.replace("redis", "rediss")
        path = "/".join(filter(None, [self.service, str(self.database or "")]))
        if self.kind is Kind.UNIX:
            path = f"?db={self.database}" if self.database else ""
        elif path:
            path = f"/{path}"
        return f"{scheme}://{self.where}{path}"


def _credentials(kind: Kind, authority: str) -> tuple[str | None, str | None, str]:
    """Split ``user:password@`` off; either may be empty."""
    before, _, host = authority.rpartition("@")
    user, _, password = before.partition(":")
    if "@" in before:
        raise _mistake(kind, f"there is more than one @; {_ESCAPE}")
    return _decoded(kind, user) or None, _decoded(kind, password) or None, host


def _decoded(kind: Kind, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _mistake(kind, "what is written with % must be UTF-8") from None


def _database(kind: Kind, text: str) -> int:
    if text and _DATABASE.fullmatch(text) is None:
        raise _mistake(kind, f"a database is a number; {_ESCAPE}")
    return int(text or 0)


def _mistake(kind: Kind, problem: str) -> ValueError:
    return ValueError(f"{problem}; {_WRITE[kind]}")


def _schemes() -> str:
    return (
        "begin with redis://, redis+sentinel:// or redis+cluster:// (rediss for TLS), unix:// "
        "or memory://"
    )
