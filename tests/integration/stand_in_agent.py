"""An agent without a conversation, in a process of its own that can be stopped and killed.

``python -m tests.integration.stand_in_agent URL TOKEN``: joins, says so, and answers pings.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from livekit import api, rtc

from session_store.livekit.job.liveness import Liveness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.livekit import LiveKit

READY = "here"


class StandIn:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process, identity: str) -> None:
        self._process = process
        self.identity = identity

    async def kill(self) -> None:
        """End it as a crash does, if it has not ended yet."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    def pause(self) -> None:
        """Stop it where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def stand_in(
    livekit: LiveKit, room: str, identity: str, *, agent_name: str = "assistant"
) -> AsyncIterator[StandIn]:
    """Run an agent in a room until the block ends."""
    token = (
        api.AccessToken(livekit.key, livekit.secret)
        .with_identity(identity)
        .with_kind("agent")
        .with_attributes({"lk.agent.name": agent_name})
        .with_grants(api.VideoGrants(room_join=True, room=room, agent=True))
        .to_jwt()
    )
    command = [sys.executable, "-m", __name__, livekit.url, token]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    agent = StandIn(process, identity)
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).decode().strip() == READY
        yield agent
    finally:
        await agent.kill()


async def _run(url: str, token: str) -> None:
    room = rtc.Room()
    left = asyncio.Event()
    room.on("disconnected", lambda _: left.set())
    await room.connect(url, token)
    Liveness(room, lambda: None).start()
    print(READY, flush=True)  # noqa: T201 (its parent waits for it)
    await left.wait()


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
