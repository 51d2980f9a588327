"""A job without a room whose conversation is kept in this process: LiveKit's console and tests.

``persist`` uses it if ``REJOIN_REDIS_URL`` is ``memory://``. The conversation is a real one, on a
store in memory. Only the room is a stand-in: its one participant is there from the beginning, and
leaves when the agent session is closed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from livekit import rtc
from typing_extensions import override

from session_store.livekit.job.conversation import Conversation
from session_store.livekit.job.pass_through import own_start_args
from session_store.livekit.job.versions import start_args_for
from session_store.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from livekit.agents import JobContext
    from livekit.agents.voice.room_io import RoomOptions

    from session_store.livekit.job.conversation_setup import Setup
    from session_store.livekit.job.entry import Entry
    from session_store.livekit.job.liveness import Liveness
    from session_store.settings import StoreSettings

logger = logging.getLogger(__name__)

PARTICIPANT: Final = "participant"
"""The identity of the stand-in, unless ``persist`` is given another name."""

_STORES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, SessionStore]] = WeakKeyDictionary()


def store_of_this_loop(settings: StoreSettings) -> SessionStore:
    """Return the store in memory that all jobs of this event loop share.

    A store serves one event loop. Test runners give each test a loop of its own by default, so
    each test begins with an empty store.
    """
    loop = asyncio.get_running_loop()
    if loop not in _STORES:
        _STORES[loop] = SessionStore.from_settings(settings)
    return _STORES[loop]


class RoomlessJob:
    """Has all that a conversation uses of a job, with a stand-in for the room."""

    def __init__(self, ctx: JobContext) -> None:
        self.real: Final = ctx
        self.job: Final = ctx.job
        self.room: Final = _Room(ctx.job.room.name)
        # All jobs that a test fakes have the same id, and each needs a lease of its own.
        self.worker_id: Final = secrets.token_hex(8)
        self.log_context_fields: Final = ctx.log_context_fields
        self.api: Final = SimpleNamespace(room=SimpleNamespace(update_participant=_nothing))
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        ctx.add_shutdown_callback(self.end)
        logger.warning("this conversation is kept in the memory of this process alone")

    def shutdown(self, reason: str = "") -> None:
        """End the job."""
        self.real.shutdown(reason)

    async def connect(self) -> None:
        """A no-op: there is no room."""

    async def wait_for_participant(self, **_: Any) -> Any:
        """Return the participant, who is there."""
        return self.room.remote_participants[PARTICIPANT]

    def add_shutdown_callback(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call it at the end of the job."""
        self._callbacks.append(callback)

    async def end(self) -> None:
        """Do what is to be done at the end of the job, once. LiveKit's test helper does not."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            await callback()


class RoomlessConversation(Conversation):
    """A conversation of a ``RoomlessJob``.

    ``agent_session.aclose()`` counts as the departure of the participant, because each test calls
    it at its end. So the next conversation under the same name is a return.
    """

    def __init__(
        self,
        setup: Setup,
        entry: Entry,
        liveness: Liveness,
        *,
        job: RoomlessJob,
        room_options: RoomOptions | None,
    ) -> None:
        """Make it.

        Args:
            setup: of the conversation.
            entry: the join.
            liveness: of the job.
            job: the same job as in ``setup``.
            room_options: as ``persist`` was given them.
        """
        super().__init__(setup, entry, liveness)
        self._job = job
        self._room_options = room_options
        agent_session: Any = setup.agent_session
        close = agent_session.aclose

        async def leave_and_close() -> None:
            job.room.remote_participants.clear()
            self._parts.presence.is_here = False
            await close()
            await job.end()

        # The instance's own attribute hides the method of its class.
        agent_session.aclose = leave_and_close

    @property
    @override
    def start_args(self) -> dict[str, Any]:
        """The room options are yours alone."""
        own = own_start_args(self._job.real, self._room_options)
        return {**own, **start_args_for(self.chat_ctx)}


class _Room(rtc.EventEmitter[Any]):
    """Has all that a conversation uses of a room."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.local_participant = SimpleNamespace(
            identity="agent",
            send_text=_nothing,
            register_rpc_method=lambda *_: None,
            unregister_rpc_method=lambda *_: None,
        )
        self.remote_participants = {
            PARTICIPANT: SimpleNamespace(
                identity=PARTICIPANT,
                name="",
                attributes={},
                metadata="",
                kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
                joined_at=None,
            )
        }


async def _nothing(*_: Any, **__: Any) -> None:
    pass
