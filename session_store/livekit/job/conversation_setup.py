"""``Setup``: what ``persist`` was given for one conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from livekit.agents import AgentSession, JobContext, tts
    from livekit.agents.voice.room_io import RoomOptions

    from session_store.livekit.job.active_agent import AgentOrMaker
    from session_store.livekit.job.greeting import Visit
    from session_store.livekit.job.job_exit import JobExit
    from session_store.livekit.job.kept_state import KeptState
    from session_store.livekit.job.participant import NamedBy
    from session_store.settings import StoreSettings
    from session_store.store import SessionStore

WhenAgentEnds = Literal["finish", "keep"]
"""What becomes of a conversation that the program has ended: it is over, and the next call begins
another one; or it is kept, and the next call within the resume window goes on with it."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The arguments of ``persist``, with its defaults filled in."""

    ctx: JobContext
    agent_session: AgentSession[Any]
    store: SessionStore
    settings: StoreSettings
    room_options: RoomOptions
    words: Callable[[Visit], str] | None
    spare_voice: tts.TTS[Any] | None
    job_exit: JobExit
    kept_state: KeptState
    when_agent_ends: WhenAgentEnds = "finish"
    scope: str = ""
    """What this participant's conversations are kept apart by."""
    identity: NamedBy | None = None
    agents: Sequence[AgentOrMaker] = ()
    """All that may be active, for a ``resume`` without one."""
