"""A conversation on a real store with a real agent session, in a room that the test directs.

The room is a stand-in, so that a test decides to the millisecond who comes and goes; the
end-to-end tests use real ones.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseReason
from livekit.agents.voice.room_io import RoomOptions

from agent.welcome import words_of_welcome
from demo_models.llm import RuleLLM
from dev.rig.net import NET_S
from session_store.livekit import Conversation
from session_store.livekit.job.conversation_setup import Setup
from session_store.livekit.job.entry import Entry
from session_store.livekit.job.job_exit import JobExit
from session_store.livekit.job.kept_state import KeptState
from session_store.livekit.job.liveness import Liveness
from session_store.livekit.job.participant import Coming, JobParticipant
from session_store.livekit.job.versions import start_args_for
from session_store.models import Place
from session_store.writing.offline_start import begin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from livekit.agents import tts

    from session_store import Joined, SessionStore, StoreSettings
    from session_store.livekit import Visit
    from session_store.livekit.job.conversation_setup import WhenAgentEnds
    from session_store.livekit.job.state_shape import StateShape
    from session_store.writing.offline_start import OfflineStart

MEMORY = '<memory>{"visit": 1, "language": "en", "name": "Maria"}</memory>'


class Room(rtc.EventEmitter[Any]):
    """A room with what a conversation uses of one."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "room"
        self.remote_participants: dict[str, Any] = {}
        self.sent: list[dict[str, Any]] = []
        self.local_participant = SimpleNamespace(send_text=self._send_text)

    def come(self, identity: str, load_id: str) -> None:
        """Let the participant in."""
        who = SimpleNamespace(identity=identity, attributes={"rj.load": load_id}, joined_at=None)
        self.remote_participants[identity] = who
        self.emit("participant_connected", who)

    def go(self, identity: str) -> None:
        """Let the participant out."""
        self.emit("participant_disconnected", self.remote_participants.pop(identity))

    def types(self) -> list[str]:
        """Return what kinds of messages the page was sent."""
        return [message["type"] for message in self.sent]

    async def _send_text(self, text: str, **_: Any) -> None:
        self.sent.append(json.loads(text))


@dataclass
class Job:
    """A job's context with what a conversation uses of one."""

    room: Room = field(default_factory=Room)
    callbacks: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    shutdowns: list[str] = field(default_factory=list)
    log_context_fields: dict[str, Any] = field(default_factory=dict)
    marks: list[dict[str, str]] = field(default_factory=list)
    """Attributes that were set on the participant by LiveKit's API."""

    @property
    def api(self) -> Any:
        """LiveKit's API, with what a conversation uses of it."""

        async def update_participant(request: Any) -> None:
            self.marks.append(dict(request.attributes))

        return SimpleNamespace(room=SimpleNamespace(update_participant=update_participant))

    def add_shutdown_callback(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Note a callback."""
        self.callbacks.append(callback)

    def shutdown(self, reason: str = "") -> None:
        """Note that the job is to end."""
        self.shutdowns.append(reason)


class Stage:
    """One job, its participant, and the conversation between them."""

    def __init__(self, store: SessionStore, settings: StoreSettings, who: str = "maria") -> None:
        self.store = store
        self.settings = settings
        self.participant = store.pseudonym(who)
        self.job = Job()
        self.lease_owner = secrets.token_hex(16)
        self.agent_session: AgentSession[Any] = AgentSession(llm=RuleLLM())
        self.spare_voice: tts.TTS[Any] | None = None
        self.words: Callable[[Visit], str] | None = words_of_welcome
        self.when_agent_ends: WhenAgentEnds = "finish"
        self.state_shape: StateShape | None = None
        self.conversation: Conversation

    async def join(self, load_id: str = "load-1", session_id: str | None = None) -> Stage:
        """Take the lease, with the participant in the room."""
        joined = await self.store.join(
            self.participant, session_id=session_id, load_id=load_id, owner=self.lease_owner
        )
        return self._converse(load_id, joined)

    def begin(self, load_id: str = "load-1", session_id: str | None = None) -> Stage:
        """Begin without the store, which is away."""
        offline_start, joined = begin(self.store, self.participant, session_id, self.lease_owner)
        return self._converse(load_id, joined, offline_start)

    def _converse(
        self, load_id: str, joined: Joined, offline_start: OfflineStart | None = None
    ) -> Stage:
        self.job.room.come(self.participant, load_id)
        session_id = joined.session.id if offline_start is None or offline_start.exact else None
        who = JobParticipant(self.participant, self.participant, session_id, {"plan": "gold"})
        context: Any = self.job
        setup = Setup(
            context,
            self.agent_session,
            self.store,
            self.settings,
            RoomOptions(),
            self.words,
            self.spare_voice,
            JobExit(context),
            KeptState(self.agent_session, self.state_shape),
            self.when_agent_ends,
        )
        now = asyncio.get_running_loop().time()
        self.conversation = Conversation(
            setup,
            Entry(
                who,
                Coming(load_id),
                self.lease_owner,
                joined,
                now,
                Place(room=self.job.room.name, identity=self.participant),
                offline_start,
            ),
            Liveness(self.job.room, lambda: None),  # type: ignore[arg-type]
        )
        return self

    async def start(self) -> Stage:
        """Start the agent, and greet."""
        return await self.start_with(Agent(instructions=MEMORY))

    async def start_with(self, agent: Agent, *, instructions: str | None = None) -> Stage:
        """Start this agent as an entry point does, but without LiveKit's room; and greet."""
        conversation = self.conversation
        context = start_args_for(conversation.chat_ctx)
        await self.agent_session.start(await conversation.resume(agent), **context)
        await conversation.greet(instructions)
        return self

    @property
    def agent(self) -> Agent:
        """The agent that runs."""
        return self.agent_session.current_agent

    def said(self) -> list[str]:
        """Return what the agent has said."""
        messages = self.agent_session.history.messages()
        return [each.text_content or "" for each in messages if each.role == "assistant"]

    async def until(self, condition: Callable[[], bool], within_s: float = NET_S) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """End the job as LiveKit does: the agent session first, then the callbacks."""
        await self.agent_session._aclose_impl(reason=CloseReason.JOB_SHUTDOWN)
        for callback in self.job.callbacks:
            await callback()

    async def die(self) -> None:
        """End it as SIGKILL does: nothing is written any more, nothing given back."""
        await self.conversation._writers.stop()
