"""The whole demo, as ``make demo`` runs it, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dev.paths import ROOT
from session_store import SessionStore, StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

READY_S = 120
STOP_S = 30
RESUME_WINDOW_S = 6
"""Of a participant who never came back yet; settable, so that tests need not wait minutes."""


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    pid: int
    page: str
    redis_url: str
    """With the login that the demo's parts have."""
    livekit_url: str
    livekit_config: Path
    """Of the LiveKit server, with its API key."""
    log: Path
    key_file: Path
    exit_codes: list[int] = field(default_factory=list)
    """Its exit code, once it has stopped."""

    def lines(self, part: str) -> list[str]:
        """Return what a part has logged, without what the demo puts in front."""
        return re.findall(rf"^\S+ {part} *\| ?(.*)$", self.log.read_text(), re.MULTILINE)

    def pid_of_newest_job(self) -> int:
        """Return the process of the job that took a conversation last."""
        records = [json.loads(line) for line in self.lines("worker")]
        return int([each["pid"] for each in records if each["message"] == "joined"][-1])

    @asynccontextmanager
    async def store(self) -> AsyncIterator[SessionStore]:
        """Open the demo's store, as one of its processes would."""
        settings = {"redis_url": self.redis_url, "key_file": self.key_file}
        store = SessionStore.from_settings(StoreSettings.model_validate(settings))
        try:
            yield store
        finally:
            await store.aclose()


@contextmanager
def running_demo(folder: Path, **settings: str) -> Iterator[Demo]:
    """Run the demo until the block ends; whatever the developer has set up is left aside."""
    # Set to nothing, so that a .env.local does not count either.
    own = dict.fromkeys(
        ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "REJOIN_REDIS_URL"), ""
    )
    env = {**os.environ, **own, "AGENT_PIPELINE": "demo", **settings}
    log, output = folder / "demo.log", folder / "output"
    command = [sys.executable, "-m", "dev.demo"]
    command += ["--state-dir", str(folder), "--log-file", str(log)]
    with (
        output.open("wb") as out,
        subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process,
    ):
        try:
            ready = _ready(process, folder / "ready.json", output)
            demo = Demo(
                pid=process.pid,
                page=ready["page"],
                redis_url=ready["redis_url"],
                livekit_url=ready["livekit_url"],
                livekit_config=folder / "livekit.json",
                log=log,
                key_file=folder / "keys.json",
            )
            yield demo
            process.send_signal(signal.SIGINT)
            demo.exit_codes.append(process.wait(STOP_S))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def _ready(process: subprocess.Popen[bytes], path: Path, output: Path) -> dict[str, Any]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            ready: dict[str, Any] = json.loads(path.read_text())
            return ready
        time.sleep(0.1)
    raise AssertionError(f"the demo did not start:\n{output.read_text()[-5000:]}")
