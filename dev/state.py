"""What the demo keeps between its runs, and where."""

from dataclasses import dataclass
from pathlib import Path

from dev.paths import STATE


@dataclass(frozen=True)
class StateFolder:
    """The files of one demo; two demos side by side have a folder each."""

    path: Path = STATE

    @property
    def lock(self) -> Path:
        """Held while a demo runs on this folder."""
        return self.path / "demo.lock"

    @property
    def redis(self) -> Path:
        """The conversations."""
        return self.path / "redis"

    @property
    def keys(self) -> Path:
        """What they are sealed with."""
        return self.path / "keys.json"

    @property
    def spool(self) -> Path:
        """Turns that a job could not write before its end, sealed."""
        return self.path / "spool"

    @property
    def livekit(self) -> Path:
        """The configuration of the LiveKit server, with its API key."""
        return self.path / "livekit.json"

    @property
    def ready(self) -> Path:
        """There while the demo is ready."""
        return self.path / "ready.json"

    @property
    def worker_ready(self) -> Path:
        """There while LiveKit knows the worker."""
        return self.path / "worker-ready"

    @property
    def pids(self) -> Path:
        """Holds the process id of each part."""
        return self.path / "pids"
