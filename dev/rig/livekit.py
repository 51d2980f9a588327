"""A LiveKit server that can be ended and started again under the same address and key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dev import livekit_server
from dev.rig.ports import free_port
from dev.rig.programs import Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class LiveKitServer(Program):
    """A server on loopback, and on the addresses of cables."""

    def __init__(self, folder: Path, *, addresses: Sequence[str] = ()) -> None:
        """Choose its ports, and write its configuration.

        Args:
            folder: for configuration and log.
            addresses: where it listens besides loopback.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        config = folder / "livekit.json"
        api_key = livekit_server.write_config(
            config,
            port=self.port,
            tcp_port=free_port(),
            udp_port=free_port(),
        )
        self.key, self.secret = api_key.key, api_key.secret
        if addresses:
            settings: dict[str, Any] = json.loads(config.read_text())
            settings["bind_addresses"] += addresses
            config.write_text(json.dumps(settings))
        program = str(livekit_server.find_or_install())
        super().__init__("livekit", [program, "--config", str(config)], folder, {})

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return self.url_at("127.0.0.1")

    def url_at(self, address: str, port: int | None = None) -> str:
        """Return its URL at another address, or behind something that listens on another port."""
        return f"ws://{address}:{port or self.port}"

    async def ready(self) -> None:
        """Return when it answers."""
        await self.until_ready(f"http://127.0.0.1:{self.port}/")
