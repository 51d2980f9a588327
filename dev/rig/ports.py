"""Ports for what tests start. Each process of tests takes them from a block of its own."""

import itertools
import os
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Final

from dev.file_lock import exclusive
from dev.ports import is_free

_FIRST: Final = 10_000
_PORTS_PER_BLOCK: Final = 400
_BLOCKS: Final = 24
"""They end at 19 600. Cluster buses begin at 20 000, ports of outgoing connections at 32 768."""
_BUS_OFFSET: Final = 10_000
"""A node of a Redis Cluster listens there too, for its peers."""
_held: Final = ExitStack()
"""The lock of our block, until this process ends."""


def free_port() -> int:
    """Return a port that is free for TCP and UDP and as a bus; never the same one twice.

    A program listens on it seconds later, so it must not be free in the eyes of another process of
    tests meanwhile.
    """
    return next(port for port in _candidates() if _is_all_free(port))


@cache
def _candidates() -> "itertools.count[int]":
    return itertools.count(_FIRST + _block() * _PORTS_PER_BLOCK)


def _block() -> int:
    """Take the first block that no other process has; where all are taken, share one."""
    ours = os.getpid() % _BLOCKS
    for number in itertools.chain(range(ours, _BLOCKS), range(ours)):
        lock = Path(tempfile.gettempdir(), f"rejoin-test-ports-{number}.lock")
        # An error means that it is another user's.
        with suppress(OSError), ExitStack() as attempt:
            if attempt.enter_context(exclusive(lock, wait=False)):
                _held.push(attempt.pop_all())
                return number
    return ours


def _is_all_free(port: int) -> bool:
    return (
        is_free(port, SOCK_STREAM)
        and is_free(port, SOCK_DGRAM)
        and is_free(port + _BUS_OFFSET, SOCK_STREAM)
    )
