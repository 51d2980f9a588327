"""Ports for what tests start. Test runs beside each other take them from blocks of their own."""

import itertools
import os
from socket import SOCK_DGRAM, SOCK_STREAM
from typing import Final

from dev.ports import is_free

BLOCK_VARIABLE: Final = "REJOIN_TEST_PORTS"
"""Names the number of a run's block; without it, the process id chooses one."""
_FIRST: Final = 10_000
_PORTS_PER_BLOCK: Final = 600
BLOCKS: Final = 16
"""They end at 19 600. Cluster buses begin at 20 000, ports of outgoing connections at 32 768."""
_BUS_OFFSET: Final = 10_000
"""A node of a Redis Cluster listens there too, for its peers."""


def _block() -> int:
    return int(os.environ.get(BLOCK_VARIABLE) or os.getpid()) % BLOCKS


_candidates = itertools.count(_FIRST + _block() * _PORTS_PER_BLOCK)


def free_port() -> int:
    """Return a port that is free for TCP and UDP and as a bus; never the same one twice."""
    return next(port for port in _candidates if _is_all_free(port))


def _is_all_free(port: int) -> bool:
    return (
        is_free(port, SOCK_STREAM)
        and is_free(port, SOCK_DGRAM)
        and is_free(port + _BUS_OFFSET, SOCK_STREAM)
    )
