"""A real livekit-server on loopback, for tests."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dev import livekit_server
from dev.await_ready import await_all
from dev.rig.net import NET_S
from dev.rig.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LiveKit(NamedTuple):
    """Where a server is, and what signs its tokens."""

    url: str
    key: str
    secret: str


@contextmanager
def running_livekit(folder: Path) -> Iterator[LiveKit]:
    """Run a server until the block ends."""
    port = free_port()
    config = folder / "livekit.json"
    api_key = livekit_server.write_config(
        config, port=port, tcp_port=free_port(), udp_port=free_port()
    )
    command = [str(livekit_server.find_or_install()), "--config", str(config)]
    with (
        (folder / "livekit.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        try:
            await_all({"LiveKit": f"http://127.0.0.1:{port}/"}, timeout_s=NET_S)
            yield LiveKit(f"ws://127.0.0.1:{port}", api_key.key, api_key.secret)
        finally:
            server.kill()
