"""Keeps the voice of an agent that is interrupted before its participant can hear it.

Until the participant has subscribed to the agent's sound, LiveKit's output waits for that with a
bare future. An interruption cancels what waits, and the future with it. Then the agent is silent
for as long as the job lives (livekit-agents 1.8.9). So the wait is shielded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from livekit.agents import AgentSession

_WAITS_FOR: Final = "_subscribed_fut"


class _Shielded:
    """A future that survives the cancellation of those that wait for it."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.shield(self._future).__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._future, name)


def keep_voice(agent_session: AgentSession[Any]) -> None:
    """Shield the wait for the first listener; call it once the agent session has started."""
    output: Any = agent_session.output.audio
    while output is not None:
        waited_for = getattr(output, _WAITS_FOR, None)
        if isinstance(waited_for, asyncio.Future) and not waited_for.done():
            setattr(output, _WAITS_FOR, _Shielded(waited_for))
        output = output.next_in_chain
