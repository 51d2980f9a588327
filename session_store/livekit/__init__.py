"""The binding: makes the conversation of any LiveKit agent survive.

::

    conversation = await persist(ctx, agent_session, store)
    agent = await conversation.resume(Assistant())
    await agent_session.start(agent, **conversation.start_args)
    await conversation.greet()

Beside it, once in each worker, ``watch_over(server)``: if an agent dies,
its participant gets another one.

A name is loaded when it is first used. The gateway uses LiveKit's rooms
(``session_store.livekit.rooms``), and must not load livekit-agents for that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from session_store.livekit.job.conversation import Conversation
    from session_store.livekit.job.entry import EntryKind
    from session_store.livekit.job.entry_point import NobodyCame, PersistedTwice, persist
    from session_store.livekit.job.greeting import Visit
    from session_store.livekit.job.room_mark import TakeoverUnknown, is_takeover
    from session_store.livekit.job.state_shape import StateError
    from session_store.livekit.worker.watch import watch_over

__all__ = [
    "Conversation",
    "EntryKind",
    "NobodyCame",
    "PersistedTwice",
    "StateError",
    "TakeoverUnknown",
    "Visit",
    "is_takeover",
    "persist",
    "watch_over",
]

_WHERE: Final = {
    "Conversation": "job.conversation",
    "EntryKind": "job.entry",
    "NobodyCame": "job.entry_point",
    "PersistedTwice": "job.entry_point",
    "StateError": "job.state_shape",
    "TakeoverUnknown": "job.room_mark",
    "Visit": "job.greeting",
    "is_takeover": "job.room_mark",
    "persist": "job.entry_point",
    "watch_over": "worker.watch",
}


def __getattr__(name: str) -> Any:
    """Load a name at its first use (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
