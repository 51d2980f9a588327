"""Ports that are free on this machine."""

import errno
import socket
from collections.abc import Container

_LAST_PORT = 65535
_ADDRESSES = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - bound for a moment, to see whether it is in use
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
)


def is_free(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Return whether this port is free, on every address of this machine, in either family.

    Each address is tried by itself: macOS lets one program have a port on 127.0.0.1 and another
    on all addresses, and a browser that opens localhost may reach either.
    """
    return all(_can_bind(family, address, port, kind) for family, address in _ADDRESSES)


def next_free(
    preferred: int,
    *,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    taken: Container[int] = (),
) -> int:
    """Return the first free port from `preferred` upwards.

    Args:
        preferred: Where to begin.
        kind: TCP or UDP.
        taken: Ports that were given out already and are not in use yet.

    Raises:
        OSError: When every port from there on is in use.
    """
    for port in range(preferred, _LAST_PORT + 1):
        if port not in taken and is_free(port, kind):
            return port
    raise OSError(errno.EADDRINUSE, f"no port from {preferred} upwards is free")


def _can_bind(
    family: socket.AddressFamily, address: str, port: int, kind: socket.SocketKind
) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # A port whose last connections are still in TIME_WAIT is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as error:
        # A machine without IPv6 has no listener on it.
        return error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True
