"""A network of its own for a worker, in which LiveKit and Redis can be cut off separately.

A network namespace with two cables to this machine: over the one it reaches Redis, over the other
LiveKit (signals and media). To pull a cable is silent: neither end learns of it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count()
_APART = 37


def why_not() -> str | None:
    """Return why this machine permits no network of its own; ``None`` if it does."""
    if shutil.which("ip") is None:
        return "there is no ip command (iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"rejoin{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted: {error.stderr.decode().strip()}"
    _ip("netns", "del", name)
    return None


class Cable:
    """A pair of addresses, ours and the island's, and what connects them."""

    def __init__(self, namespace: str, name: str, network: str) -> None:
        self._name = name
        self.address = f"{network}.1"
        """Ours."""
        _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}i", "netns", namespace)
        self._namespace = namespace
        self._network = network
        self._theirs = 2
        _ip("addr", "add", f"{self.address}/24", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", namespace, "addr", "add", f"{network}.2/24", "dev", f"{name}i")
        _ip("-n", namespace, "link", "set", f"{name}i", "up")

    def cut(self) -> None:
        """Let nothing through; connections stay open, and nothing answers."""
        _ip("link", "set", self._name, "down")

    def heal(self) -> None:
        """Let everything through again."""
        _ip("link", "set", self._name, "up")

    def move(self) -> None:
        """Give the island another address, as a change of network does.

        What came from the old one gets no answer.
        """
        device = f"{self._name}i"
        for verb in ("del", "add"):
            address = f"{self._network}.{self._theirs}/24"
            _ip("-n", self._namespace, "addr", verb, address, "dev", device)
            self._theirs += 1 if verb == "del" else 0

    def remove(self) -> None:
        """Take it away, at both ends."""
        _ip("link", "del", self._name)


class Island:
    """A network with a cable to Redis and one to LiveKit."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"rejoin{os.getpid()}-{number}"
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        # Names of interfaces have at most 15 characters. 198.18/15 is for tests of networks.
        short = f"rj{os.getpid() % 100_000}x{number}"
        third = _free_network()
        self.redis = Cable(self.name, f"{short}r", f"198.18.{third}")
        self.livekit = Cable(self.name, f"{short}l", f"198.19.{third}")

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with that is to run there."""
        return ("ip", "netns", "exec", self.name)

    def remove(self) -> None:
        """Take it away."""
        self.redis.remove()
        self.livekit.remove()
        _ip("netns", "del", self.name)


@contextmanager
def island() -> Iterator[Island]:
    """Make a network, and take it away at the end of the block."""
    made = Island()
    try:
        yield made
    finally:
        made.remove()


def _free_network() -> int:
    """Return the third number of a pair of networks that are free on this machine.

    Runs that start beside each other have neighbouring process ids, so they begin far apart.
    """
    used = subprocess.run([_program(), "-br", "addr"], check=True, capture_output=True).stdout
    first = os.getpid() * _APART
    numbers = (number % 256 for number in range(first, first + 256))
    return next(number for number in numbers if f" 198.18.{number}.".encode() not in used)


def _ip(*arguments: str) -> None:
    subprocess.run([_program(), *arguments], check=True, capture_output=True)


@cache
def _program() -> str:
    return shutil.which("ip") or "ip"
